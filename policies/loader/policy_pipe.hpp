// What passes between the program and a policy's process: flat values over a socket, both ends being the same
// program. A message is a header and as many bytes as it says.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

enum class PipeKind : std::uint32_t {
    create = 1,  // to the policy: its name or path, a zero byte, its options. Back: what is wrong, or nothing
    event,       // to the policy: a PolicyEvent
    decide,      // to the policy: a PolicyView, then its sequences. Back: PipeDecision and its arrays
};

struct PipeHeader {
    PipeKind kind = PipeKind::create;
    std::uint32_t size = 0;  // of what follows
};

// Followed by rows, victims, their actions and those shed; or, if it was rejected, by the reason.
struct PipeDecision {
    std::uint32_t rejected = 0;
    std::uint32_t num_rows = 0, num_victims = 0, num_shed = 0;
};

void append_message(std::string& buffer, PipeKind kind, std::string_view content);

template <class T>
std::string_view bytes_of(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof value};
}

enum class PipeStatus : std::uint8_t { done, late, closed };
using PipeDeadline = std::chrono::steady_clock::time_point;

// All of `data`, or until the deadline. The socket is non-blocking.
PipeStatus send_all(int socket, std::string_view data, PipeDeadline deadline);
PipeStatus receive_all(int socket, char* data, std::size_t size, PipeDeadline deadline);
// Whole messages of at most max_size bytes; a larger one counts as closed.
PipeStatus receive_message(int socket, PipeHeader& header, std::string& content, std::size_t max_size,
                           PipeDeadline deadline);

}  // namespace troupe
