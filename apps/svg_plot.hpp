// Line plots as SVG text, for pages that need nothing from anywhere.
#pragma once
#include <string>
#include <vector>

namespace troupe {

struct PlotLine {
    std::string name;
    std::vector<double> x, y;
};

struct Plot {
    std::string title, x_label, y_label;
    bool log_x = false;
    double y_max = 0;  // 0: the largest value
    std::vector<PlotLine> lines;
};

std::string svg_of(const Plot& plot);
std::string plot_color(std::size_t line);  // of the line with that index
std::string escape_html(const std::string& text);

}  // namespace troupe
