#include "net/request_log.hpp"

#include <spdlog/spdlog.h>

#include "net/json_writer.hpp"

namespace troupe::net {

std::string log_line(const RequestLog& entry, bool json) {
    if (json) {
        JsonWriter out;
        out.begin_object().field("event", "request").field("method", entry.method).field("path", entry.path);
        out.field("status", entry.status).field("bytes", entry.bytes).field("ms", entry.milliseconds);
        out.field("request_id", entry.request_id).key("key");
        entry.key.empty() ? out.value(nullptr) : out.value(entry.key);
        out.field("prompt_tokens", entry.prompt_tokens);
        return out.field("completion_tokens", entry.completion_tokens).end_object().take();
    }
    // The path is the client's: written as a JSON string it cannot break the line.
    std::string path;
    append_json_string(path, entry.path);
    return fmt::format("{} {} {} {} bytes {:.1f} ms {} key={} prompt={} completion={}", entry.method, path,
                       entry.status, entry.bytes, entry.milliseconds, entry.request_id,
                       entry.key.empty() ? "-" : entry.key, entry.prompt_tokens, entry.completion_tokens);
}

LogSink spdlog_sink(bool json) {
    return [json](const RequestLog& entry) {
        spdlog::log(entry.status == 500 ? spdlog::level::warn : spdlog::level::info, "{}",
                    log_line(entry, json));
    };
}

}  // namespace troupe::net
