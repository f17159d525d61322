// Messages of the Responses WebSocket mode, as tests write and read them.
#pragma once
#include <string>
#include <vector>

#include "tests/net/fixture.hpp"
#include "tests/net/ws_client.hpp"

namespace troupe::net {

inline std::string create(const std::string& stream_id, const std::string& input,
                          const std::string& more = {}) {
    const std::string lane = stream_id.empty() ? "" : R"("stream_id":")" + stream_id + "\",";
    return R"({"type":"response.create",)" + lane + R"("input":")" + input + "\"" + more + "}";
}

inline std::string after(const std::string& response_id) {
    return R"(,"previous_response_id":")" + response_id + "\"";
}

inline bool is_end(const std::string& event) {
    const std::string type = string_at(event, "/type");
    return type == "response.completed" || type == "response.incomplete" || type == "response.failed" ||
           type == "error";
}

// Up to and with the next event that ends a response, or an error.
inline std::vector<std::string> read_to_end(WsClient& client) {
    std::vector<std::string> events;
    do {
        events.push_back(client.read());
        REQUIRE_FALSE(events.back().empty());
    } while (!is_end(events.back()));
    return events;
}

// The next event of that type, others thrown away.
inline std::string read_until(WsClient& client, const std::string& type) {
    for (;;) {
        std::string event = client.read();
        REQUIRE_FALSE(event.empty());
        if (string_at(event, "/type") == type) return event;
    }
}

inline std::string text_of(const std::vector<std::string>& events) {
    std::string text;
    for (const std::string& event : events) text += string_at(event, "/delta");
    return text;
}

// The messages that the n-th submitted generation is asked to go on from, as JSON.
inline std::string messages_of(FakePort& port, std::size_t n) {
    const auto prompt = std::get<ChatPrompt>(*port.generation(port.submitted(n)).request.prompt);
    return at(prompt.variables, "/messages");
}

}  // namespace troupe::net
