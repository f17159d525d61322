#include "net/tool_calls.hpp"

#include <algorithm>
#include <optional>

#include "net/fields.hpp"

namespace troupe::net {
namespace {

constexpr std::string_view kOpen = "<tool_call>", kClose = "</tool_call>", kSpace = " \t\r\n";

// {"name": text, "arguments": an object, or the text of one}
std::optional<SpokenCall> read_call_object(const Json& root) {
    std::string_view name;
    if (!root.is_object() || root["name"].get(name) != simdjson::SUCCESS || name.empty()) return std::nullopt;
    SpokenCall call{std::string(name), "{}"};
    auto arguments = root["arguments"];
    if (arguments.error()) arguments = root["parameters"];
    if (arguments.error()) return call;
    std::string_view spelled;
    if (arguments.get(spelled) == simdjson::SUCCESS)
        call.arguments = spelled;
    else if (arguments.is_object())
        call.arguments = simdjson::minify(arguments.value());
    else if (!arguments.is_null())
        return std::nullopt;
    return call;
}

std::optional<SpokenCall> parse_call(std::string_view text) {
    const auto document = parse_json(text);
    return document ? read_call_object((*document)->root) : std::nullopt;
}

// One call, or a list of calls; empty if it is anything else.
std::vector<SpokenCall> parse_calls(std::string_view text) {
    const auto document = parse_json(text);
    if (!document) return {};
    std::vector<SpokenCall> calls;
    simdjson::dom::array list;
    if ((*document)->root.get(list) != simdjson::SUCCESS) {
        if (auto call = read_call_object((*document)->root)) calls.push_back(*std::move(call));
        return calls;
    }
    for (const Json element : list) {
        auto call = read_call_object(element);
        if (!call) return {};
        calls.push_back(*std::move(call));
    }
    return calls;
}

}  // namespace

ToolCallReader::Parts ToolCallReader::push(std::string_view text) {
    Parts parts;
    held_ += text;
    while (step(parts)) {
    }
    return parts;
}

bool ToolCallReader::step(Parts& parts) {
    if (tools_.empty()) {
        parts.content += std::exchange(held_, {});
        return false;
    }
    if (begins_) {
        const std::size_t first = held_.find_first_not_of(kSpace);
        if (first == std::string::npos) return false;
        begins_ = false;
        bare_ = held_[first] == '{' || held_[first] == '[';
    }
    if (bare_) return false;
    const std::size_t open = held_.find(kOpen);
    if (open == 0) {
        const std::size_t close = held_.find(kClose, searched_);
        if (close == std::string::npos) {
            searched_ = held_.size() - std::min(held_.size(), kClose.size() - 1);
            return false;
        }
        read_call(parts, close, close + kClose.size());
        return true;
    }
    // Text up to the tag, or to what may begin one; white space before a call, or between calls, is no
    // content.
    std::size_t end = open;
    if (open == std::string::npos) {
        end = held_.size();
        for (std::size_t size = std::min(end, kOpen.size() - 1); size > 0; --size) {
            if (!kOpen.starts_with(std::string_view(held_).substr(held_.size() - size))) continue;
            end -= size;
            break;
        }
    }
    const std::size_t shown = held_.substr(0, end).find_last_not_of(kSpace) + 1;
    std::string content = held_.substr(0, shown);
    if (called_) content.erase(0, std::min(content.find_first_not_of(kSpace), content.size()));
    if (!content.empty()) called_ = false;
    parts.content += content;
    if (open == std::string::npos) {
        held_.erase(0, shown);
        return false;
    }
    gap_ = held_.substr(shown, end - shown);
    held_.erase(0, end);
    return true;
}

void ToolCallReader::read_call(Parts& parts, std::size_t end, std::size_t after) {
    if (auto call = parse_call(std::string_view(held_).substr(kOpen.size(), end - kOpen.size()))) {
        parts.calls.push_back(*std::move(call));
        called_ = true;
    } else {
        parts.content += gap_ + held_.substr(0, after);
    }
    gap_.clear();
    held_.erase(0, after);
    searched_ = 0;
}

bool ToolCallReader::read_bare_calls(Parts& parts) {
    auto calls = parse_calls(held_);
    const bool known = std::all_of(calls.begin(), calls.end(), [this](const SpokenCall& call) {
        return std::find(tools_.begin(), tools_.end(), call.name) != tools_.end();
    });
    if (calls.empty() || !known) return false;
    parts.calls = std::move(calls);
    held_.clear();
    return true;
}

ToolCallReader::Parts ToolCallReader::finish() {
    Parts parts;
    if (bare_ && read_bare_calls(parts)) return parts;
    if (held_.starts_with(kOpen))
        read_call(parts, held_.size(), held_.size());
    else if (!called_)
        parts.content = held_;
    held_.clear();
    return parts;
}

std::vector<std::string> tool_names(std::string_view tools) {
    std::vector<std::string> names;
    const auto document = parse_json(tools);
    simdjson::dom::array list;
    if (!document || (*document)->root.get(list) != simdjson::SUCCESS) return names;
    for (const Json tool : list) {
        std::string_view name;
        if (tool["function"]["name"].get(name) == simdjson::SUCCESS ||
            tool["name"].get(name) == simdjson::SUCCESS) {
            names.emplace_back(name);
        }
    }
    return names;
}

}  // namespace troupe::net
