// Names from files, made fit for an error message.
#pragma once
#include <string>
#include <string_view>

namespace troupe {

// Control and non-ASCII bytes become '?', what is longer than 80 bytes is cut.
inline std::string printable(std::string_view name) {
    std::string text(name.substr(0, 80));
    for (char& c : text) {
        if (c < 0x20 || c > 0x7E) c = '?';
    }
    return name.size() > 80 ? text + "..." : text;
}

}  // namespace troupe
