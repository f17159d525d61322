#include "net/bad_number.hpp"

#include <simdjson.h>

#include <algorithm>
#include <vector>

#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxNumbers = 1000;
constexpr std::size_t kShownBytes = 60;

std::size_t end_of_string(std::string_view json, std::size_t quote) {
    std::size_t end = quote + 1;
    while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
    return std::min(end, json.size());
}

std::string joined(const std::vector<std::string_view>& names, std::string_view last) {
    std::string path;
    const auto add = [&](std::string_view name) {
        if (name.empty()) return;
        path += (path.empty() ? "" : ".") + shortened(name, kShownBytes);
    };
    for (const std::string_view name : names) add(name);
    add(last);
    return path;
}

}  // namespace

std::optional<BadNumber> find_bad_number(std::string_view json) {
    simdjson::dom::parser parser;
    std::vector<std::string_view> open;  // names of the objects and lists around
    std::string_view name;
    std::size_t numbers = 0;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (c == '"') {
            const std::size_t end = end_of_string(json, i);
            const std::size_t next = json.find_first_not_of(" \t\r\n", end + 1);
            if (next != std::string_view::npos && json[next] == ':') name = json.substr(i + 1, end - i - 1);
            i = end;
        } else if (c == '{' || c == '[') {
            open.push_back(name);
            name = {};
        } else if ((c == '}' || c == ']') && !open.empty()) {
            open.pop_back();
            name = {};
        } else if (c == '-' || (c >= '0' && c <= '9')) {
            if (++numbers > kMaxNumbers) return std::nullopt;
            const std::size_t end = std::min(json.find_first_of(" \t\r\n,]}:\"", i), json.size());
            const std::string text(json.substr(i, end - i));
            if (parser.parse(text).error() != simdjson::SUCCESS)
                return BadNumber{joined(open, name), shortened(text, kShownBytes)};
            i = end - 1;
        }
    }
    return std::nullopt;
}

}  // namespace troupe::net
