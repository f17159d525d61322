#include "apps/bench_stream.hpp"

#include <simdjson.h>

namespace troupe {
namespace {

BenchChunk parse_chunk(std::string_view data) {
    BenchChunk chunk;
    if (data == "[DONE]") {
        chunk.done = true;
        return chunk;
    }
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(data.data(), data.size()).get(root) != simdjson::SUCCESS) {
        chunk.error = "the stream holds what is not JSON";
        return chunk;
    }
    std::string_view text;
    if (root["error"]["message"].get(text) == simdjson::SUCCESS) chunk.error = text;
    simdjson::dom::array choices;
    if (root["choices"].get(choices) == simdjson::SUCCESS) {
        for (const simdjson::dom::element choice : choices) {
            if (choice["text"].get(text) == simdjson::SUCCESS && !text.empty()) chunk.has_content = true;
        }
    }
    std::uint64_t count = 0;
    if (root["usage"]["prompt_tokens"].get(count) == simdjson::SUCCESS) chunk.prompt_tokens = count;
    if (root["usage"]["completion_tokens"].get(count) == simdjson::SUCCESS) chunk.completion_tokens = count;
    return chunk;
}

}  // namespace

std::optional<BenchChunk> BenchStream::next() {
    constexpr std::string_view field = "data:";
    for (std::size_t end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
        std::string line = pending_.substr(0, end);
        pending_.erase(0, end + 1);
        if (line.ends_with('\r')) line.pop_back();
        if (!line.starts_with(field)) continue;  // comments, other fields, the empty line after an event
        line.erase(0, line.starts_with("data: ") ? field.size() + 1 : field.size());
        return parse_chunk(line);
    }
    return std::nullopt;
}

}  // namespace troupe
