#include "apps/simulation_page.hpp"

#include <algorithm>
#include <sstream>

namespace troupe {
namespace {

constexpr double us_per_second = 1e6;

constexpr const char* style =
    R"(body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:1200px;color:#222}
h1{font-size:20px}h2{font-size:16px;margin-top:1.5em}table{border-collapse:collapse}td,th{padding:2px 12px;text-align:right;
border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}.plots{display:flex;flex-wrap:wrap;gap:16px}
svg{width:560px;height:260px;background:#fcfcfc}svg text{font:11px system-ui,sans-serif;fill:#444}.t{font-weight:600!important}
.x{text-anchor:middle}.y{text-anchor:end}.g{stroke:#e4e4e4;stroke-width:1}.k{display:inline-block;width:12px;height:3px;
margin:0 6px 3px 16px}@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}svg{background:#1f1f1f}
svg text{fill:#bbb}.g{stroke:#333}td,th{border-color:#333}})";

PlotLine cumulative(const std::string& name, std::vector<double> values) {
    constexpr std::size_t points = 200;
    std::sort(values.begin(), values.end());
    PlotLine line{name, {}, {}};
    if (values.empty()) return line;
    for (std::size_t i = 0; i <= points; ++i) {
        line.x.push_back(values[i * (values.size() - 1) / points]);
        line.y.push_back(static_cast<double>(i) / points);
    }
    return line;
}

PlotLine over_time(const std::string& name, const Timeline& timeline, Timeline::Value value, double divisor) {
    PlotLine line{name, {}, {}};
    const double span = static_cast<double>(timeline.span_us()) / us_per_second;
    for (std::size_t i = 0; i < timeline.spans().size(); ++i) {
        line.x.push_back((static_cast<double>(i) + 0.5) * span);
        line.y.push_back(timeline.spans()[i][value] / divisor);
    }
    return line;
}

std::string html_table(const std::string& table) {
    std::istringstream lines(table);
    std::string text = "<table>";
    bool first = true;
    for (std::string line; std::getline(lines, line); first = false) {
        constexpr std::size_t name_width = 28, cell_width = 15;
        const char* tag = first ? "th" : "td";
        const auto cell = [&](const std::string& value) {
            const std::size_t begin = std::min(value.find_first_not_of(' '), value.size());
            const std::size_t end = value.find_last_not_of(' ');
            const std::string trimmed = begin == value.size() ? "" : value.substr(begin, end - begin + 1);
            text += std::string("<") + tag + ">" + escape_html(trimmed) + "</" + tag + ">";
        };
        text += "<tr>";
        cell(line.substr(0, name_width));
        for (std::size_t place = name_width; place < line.size(); place += cell_width)
            cell(line.substr(place, cell_width));
        text += "</tr>\n";
    }
    return text + "</table>\n";
}

// What the latencies leave out.
std::string note(const std::vector<SimulationReport>& reports) {
    std::string text = "<p>Latencies are of the requests that were served, those cut short included.";
    for (const SimulationReport& r : reports) {
        if (r.refused + r.truncated == 0) continue;
        text += " " + escape_html(r.policy) + ": " + std::to_string(r.refused) + " refused, " +
                std::to_string(r.shed) + " of them shed by the policy, and " + std::to_string(r.truncated) +
                " cut short of " + std::to_string(r.completed + r.refused + r.truncated) + " requests.";
    }
    return text + "</p>\n";
}

std::string plot_of(const std::vector<PolicyCurves>& curves, PlotLine PolicyCurves::*line, Plot plot) {
    for (const PolicyCurves& one : curves) plot.lines.push_back(one.*line);
    return svg_of(plot);
}

}  // namespace

PolicyCurves curves_of(const std::string& policy, const SimulationResult& result,
                       std::uint32_t num_replicas) {
    LatencySamples samples = latency_samples(result);
    const Timeline& timeline = result.timeline;
    const auto span = static_cast<double>(timeline.span_us());
    PolicyCurves curves;
    curves.policy = policy;
    curves.ttft = cumulative(policy, std::move(samples.ttft));
    curves.tpot = cumulative(policy, std::move(samples.tpot));
    curves.e2el = cumulative(policy, std::move(samples.e2el));
    curves.running = over_time(policy, timeline, Timeline::running, span);
    curves.waiting = over_time(policy, timeline, Timeline::waiting, span);
    curves.kv = over_time(policy, timeline, Timeline::kv_used, span * num_replicas);
    curves.busy = over_time(policy, timeline, Timeline::busy_us, span * num_replicas);
    curves.tokens = over_time(policy, timeline, Timeline::tokens, span / us_per_second);
    return curves;
}

std::string simulation_page(const SimulationFacts& facts, const std::vector<SimulationReport>& reports,
                            const std::vector<PolicyCurves>& curves) {
    std::string text =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Troupe "
        "simulation</title><style>";
    text += std::string(style) + "</style></head><body>\n<h1>Troupe simulation</h1>\n<p>";
    for (const auto& [name, value] : facts)
        text += (&name == &facts.front().first ? "" : "; ") + escape_html(name) + " " + escape_html(value);
    text += "</p>\n" + html_table(simulation_table(reports)) + note(reports) + "<p>";
    for (std::size_t i = 0; i < curves.size(); ++i)
        text += "<span class=\"k\" style=\"background:" + plot_color(i) + "\"></span>" +
                escape_html(curves[i].policy);
    text += "</p>\n<h2>Share of requests with at most that latency</h2><div class=\"plots\">\n";
    const std::string share = "share of requests";
    text += plot_of(curves, &PolicyCurves::ttft, {"Time to first token", "ms", share, true, 1, {}});
    text += plot_of(curves, &PolicyCurves::tpot, {"Time per output token", "ms", share, true, 1, {}});
    text += plot_of(curves, &PolicyCurves::e2el, {"Whole request", "ms", share, true, 1, {}});
    text += "</div>\n<h2>Over time</h2><div class=\"plots\">\n";
    text += plot_of(curves, &PolicyCurves::running, {"Running sequences", "s", "sequences", false, 0, {}});
    text += plot_of(curves, &PolicyCurves::waiting, {"Waiting sequences", "s", "sequences", false, 0, {}});
    text += plot_of(curves, &PolicyCurves::tokens, {"Generated tokens", "s", "tokens/s", false, 0, {}});
    text += plot_of(curves, &PolicyCurves::kv, {"KV blocks in use", "s", "share", false, 1, {}});
    text += plot_of(curves, &PolicyCurves::busy, {"Replicas' time in steps", "s", "share", false, 1, {}});
    return text + "</div>\n</body></html>\n";
}

}  // namespace troupe
