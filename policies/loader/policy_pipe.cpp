#include "policies/loader/policy_pipe.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace troupe {
namespace {

// Until the socket can be read or written; late if the time is over first.
PipeStatus wait_for(int socket, short events, PipeDeadline deadline) {
    for (;;) {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= left.zero()) return PipeStatus::late;
        const auto nanoseconds = std::min<std::int64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(left).count(), 3600LL * 1000000000);
        const timespec time{nanoseconds / 1000000000, nanoseconds % 1000000000};
        pollfd entry{socket, events, 0};
        const int ready = ppoll(&entry, 1, &time, nullptr);
        if (ready > 0) return PipeStatus::done;
        if (ready < 0 && errno != EINTR) return PipeStatus::closed;
    }
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

void append_message(std::string& buffer, PipeKind kind, std::string_view content) {
    const PipeHeader header{kind, static_cast<std::uint32_t>(content.size())};
    buffer.append(bytes_of(header));
    buffer.append(content);
}

PipeStatus send_all(int socket, std::string_view data, PipeDeadline deadline) {
    while (!data.empty()) {
        const auto sent = send(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            data.remove_prefix(static_cast<std::size_t>(sent));
        } else if (!would_block()) {
            return PipeStatus::closed;
        } else if (const auto status = wait_for(socket, POLLOUT, deadline); status != PipeStatus::done) {
            return status;
        }
    }
    return PipeStatus::done;
}

PipeStatus receive_all(int socket, char* data, std::size_t size, PipeDeadline deadline) {
    while (size > 0) {
        const auto got = recv(socket, data, size, MSG_DONTWAIT);
        if (got > 0) {
            data += got;
            size -= static_cast<std::size_t>(got);
        } else if (got == 0 || !would_block()) {
            return PipeStatus::closed;
        } else if (const auto status = wait_for(socket, POLLIN, deadline); status != PipeStatus::done) {
            return status;
        }
    }
    return PipeStatus::done;
}

PipeStatus receive_message(int socket, PipeHeader& header, std::string& content, std::size_t max_size,
                           PipeDeadline deadline) {
    char raw[sizeof header];
    if (const auto status = receive_all(socket, raw, sizeof raw, deadline); status != PipeStatus::done)
        return status;
    std::copy(raw, raw + sizeof raw, reinterpret_cast<char*>(&header));
    if (header.size > max_size) return PipeStatus::closed;
    content.resize(header.size);
    return receive_all(socket, content.data(), content.size(), deadline);
}

}  // namespace troupe
