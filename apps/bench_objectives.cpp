#include "apps/bench_objectives.hpp"

#include <charconv>
#include <cmath>

namespace troupe {
namespace {

bool parse_number(const std::string& text, double& value) {
    const char* end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value);
    return failure == std::errc() && stop == end && std::isfinite(value);
}

}  // namespace

Result<BenchObjectives> parse_objectives(const std::vector<std::string>& texts) {
    BenchObjectives objectives;
    for (const std::string& text : texts) {
        const std::size_t colon = text.find(':');
        const std::string what = text.substr(0, colon);
        std::optional<double>* place = what == "ttft"   ? &objectives.ttft
                                       : what == "tpot" ? &objectives.tpot
                                       : what == "e2el" ? &objectives.e2el
                                                        : nullptr;
        double value = 0;
        if (place == nullptr || colon == std::string::npos || !parse_number(text.substr(colon + 1), value) ||
            !(value > 0)) {
            return invalid_argument(
                "--goodput: '" + text + "' is not an objective; write ttft:MS, tpot:MS or e2el:MS",
                "--goodput");
        }
        *place = value;
    }
    return objectives;
}

}  // namespace troupe
