#include "net/random_id.hpp"

#include <sys/random.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

namespace troupe::net {
namespace {

// A response's id is all that is needed to read it, so ids come from the system's entropy, not from a
// generator whose next value could be worked out. Much at a time: an id for each of ten thousand refusals
// must cost nothing.
class Entropy {
  public:
    std::uint8_t next() {
        if (used_ == bytes_.size()) refill();
        return bytes_[used_++];
    }

  private:
    void refill() {
        // 256 bytes are never given in part (getrandom(2)); only a kernel without the call fails.
        if (::getrandom(bytes_.data(), bytes_.size(), 0) != static_cast<ssize_t>(bytes_.size())) {
            std::random_device device;
            for (std::uint8_t& byte : bytes_) byte = static_cast<std::uint8_t>(device());
        }
        used_ = 0;
    }

    std::array<std::uint8_t, 256> bytes_{};
    std::size_t used_ = bytes_.size();
};

}  // namespace

std::string random_id(std::string_view prefix) {
    thread_local Entropy entropy;
    static constexpr char hex[] = "0123456789abcdef";
    std::string id(prefix);
    for (int i = 0; i < 16; ++i) {
        const std::uint8_t byte = entropy.next();
        id += hex[byte >> 4];
        id += hex[byte & 15];
    }
    return id;
}

}  // namespace troupe::net
