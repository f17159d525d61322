#include "apps/line_reader.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace troupe {

LineReader::Outcome LineReader::next(std::string& line) {
    for (;;) {
        if (const std::size_t newline = pending_.find('\n'); newline != std::string::npos) {
            line = pending_.substr(0, newline);
            pending_.erase(0, newline + 1);
            if (line.ends_with('\r')) line.pop_back();
            return Outcome::line;
        }
        if (ended_) {
            line = std::exchange(pending_, {});
            return line.empty() ? Outcome::end : Outcome::line;
        }
        std::array<char, 4096> bytes{};
        const ssize_t count = ::read(STDIN_FILENO, bytes.data(), bytes.size());
        if (count < 0 && errno == EINTR) return Outcome::interrupted;
        if (count <= 0) {
            ended_ = true;
        } else {
            pending_.append(bytes.data(), static_cast<std::size_t>(count));
        }
    }
}

}  // namespace troupe
