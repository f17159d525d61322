// One line per finished request.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

namespace troupe::net {

struct RequestLog {
    std::string method;  // "WS" for a response created over a WebSocket
    std::string path;
    std::string request_id;
    std::string key;  // the name of the client's; empty: none was asked for
    int status = 0;   // 499: the client went away
    std::uint64_t bytes = 0;
    double milliseconds = 0;
    std::uint64_t prompt_tokens = 0, completion_tokens = 0;
};

using LogSink = std::function<void(const RequestLog&)>;  // any thread

std::string log_line(const RequestLog& entry, bool json);

// Writes to spdlog's default logger: level info, our own failures (500) as warnings.
LogSink spdlog_sink(bool json);

}  // namespace troupe::net
