#include "actors/stop_strings.hpp"

#include <algorithm>

namespace troupe {

StopStrings::Step StopStrings::push(std::string_view piece) {
    held_ += piece;
    auto first = std::string::npos;
    std::size_t length = 0;  // of the one that begins first, the shortest if several do
    for (const auto& stop : stops_) {
        const auto found = held_.find(stop);
        if (found == std::string::npos || found > first) continue;
        length = found == first ? std::min(length, stop.size()) : stop.size();
        first = found;
    }
    if (first != std::string::npos) {
        auto text = held_.substr(0, first + (include_ ? length : 0));
        held_.clear();
        return {std::move(text), true};
    }
    // The longest tail that is a proper beginning of some stop string stays.
    std::size_t keep = 0;
    for (const auto& stop : stops_) {
        for (auto n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
            if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n))
                keep = n;
        }
    }
    auto text = held_.substr(0, held_.size() - keep);
    held_.erase(0, text.size());
    return {std::move(text), false};
}

}  // namespace troupe
