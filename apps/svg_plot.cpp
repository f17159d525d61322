#include "apps/svg_plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

namespace troupe {
namespace {

constexpr double width = 560, height = 260, left = 58, right = 12, top = 28, bottom = 40;

template <class... Values>
std::string format(const char* pattern, Values... values) {
    std::array<char, 240> text{};
    std::snprintf(text.data(), text.size(), pattern, values...);
    return text.data();
}

// 1, 2 or 5 times a power of ten, so that about five fit.
double tick_step(double range) {
    const double raw = range / 5, power = std::pow(10.0, std::floor(std::log10(raw)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (raw <= factor * power) return factor * power;
    return 10 * power;
}

class Painter {
  public:
    explicit Painter(const Plot& plot) : plot_(plot) {
        for (const PlotLine& line : plot.lines) {
            for (const double x : line.x) {
                if (plot.log_x && x <= 0) continue;
                low_ = std::min(low_, x);
                high_ = std::max(high_, x);
            }
            for (const double y : line.y) most_ = std::max(most_, y);
        }
        if (plot.y_max > 0) most_ = plot.y_max;
        if (most_ <= 0) most_ = 1;
        if (low_ > high_) low_ = plot.log_x ? 1 : 0, high_ = plot.log_x ? 10 : 1;
        if (high_ <= low_) high_ = plot.log_x ? low_ * 10 : low_ + 1;
    }

    std::string paint() {
        text_ = format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\">", width, height);
        text_ +=
            format("<text class=\"t\" x=\"%.0f\" y=\"16\">", left) + escape_html(plot_.title) + "</text>";
        x_axis();
        y_axis();
        for (std::size_t i = 0; i < plot_.lines.size(); ++i) line(i);
        return text_ + "</svg>\n";
    }

  private:
    double place_x(double x) const {
        const double share = plot_.log_x ? std::log(std::max(x, low_) / low_) / std::log(high_ / low_)
                                         : (x - low_) / (high_ - low_);
        return left + std::clamp(share, 0.0, 1.0) * (width - left - right);
    }
    double place_y(double y) const {
        return height - bottom - std::clamp(y / most_, 0.0, 1.0) * (height - top - bottom);
    }

    void x_tick(double x) {
        text_ += format("<path class=\"g\" d=\"M%.1f %.1fV%.1f\"/>", place_x(x), top, height - bottom);
        text_ += format("<text class=\"x\" x=\"%.1f\" y=\"%.1f\">%.7g</text>", place_x(x),
                        height - bottom + 14, x);
    }
    void x_axis() {
        if (plot_.log_x) {
            for (double power = std::pow(10.0, std::floor(std::log10(low_))); power <= high_; power *= 10)
                for (const double factor : {1.0, 2.0, 5.0}) {
                    const bool crowded = high_ / low_ > 300 && factor != 1;
                    if (!crowded && factor * power >= low_ && factor * power <= high_) x_tick(factor * power);
                }
        } else {
            const double step = tick_step(high_ - low_);
            for (double x = std::ceil(low_ / step) * step; x <= high_; x += step) x_tick(x);
        }
        text_ += format("<text class=\"x\" x=\"%.1f\" y=\"%.1f\">", (left + width - right) / 2, height - 6) +
                 escape_html(plot_.x_label) + "</text>";
    }
    void y_axis() {
        const double step = tick_step(most_);
        for (double y = 0; y <= most_ * 1.0001; y += step) {
            text_ += format("<path class=\"g\" d=\"M%.1f %.1fH%.1f\"/>", left, place_y(y), width - right);
            text_ +=
                format("<text class=\"y\" x=\"%.1f\" y=\"%.1f\">%.7g</text>", left - 6, place_y(y) + 4, y);
        }
        text_ += format("<text class=\"x\" transform=\"translate(12 %.1f) rotate(-90)\">",
                        (top + height - bottom) / 2) +
                 escape_html(plot_.y_label) + "</text>";
    }
    void line(std::size_t index) {
        const PlotLine& line = plot_.lines[index];
        std::string path;
        for (std::size_t i = 0; i < line.x.size(); ++i)
            path += format("%c%.1f %.1f", i == 0 ? 'M' : 'L', place_x(line.x[i]), place_y(line.y[i]));
        text_ += "<path fill=\"none\" stroke-width=\"1.6\" stroke=\"" + plot_color(index) + "\" d=\"" + path +
                 "\"><title>" + escape_html(line.name) + "</title></path>";
    }

    const Plot& plot_;
    double low_ = std::numeric_limits<double>::max(), high_ = std::numeric_limits<double>::lowest(),
           most_ = 0;
    std::string text_;
};

}  // namespace

std::string plot_color(std::size_t line) {
    // Okabe and Ito's colours, told apart by the colour-blind.
    constexpr std::array<const char*, 8> colors = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                   "#e69f00", "#56b4e9", "#000000", "#999999"};
    return colors[line % colors.size()];
}

std::string escape_html(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
        switch (c) {
            case '<':
                escaped += "&lt;";
                break;
            case '>':
                escaped += "&gt;";
                break;
            case '&':
                escaped += "&amp;";
                break;
            case '"':
                escaped += "&quot;";
                break;
            default:
                escaped += c;
        }
    }
    return escaped;
}

std::string svg_of(const Plot& plot) { return Painter(plot).paint(); }

}  // namespace troupe
