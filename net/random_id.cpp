#include "net/random_id.hpp"

#include <random>

namespace troupe::net {

std::string random_id(std::string_view prefix) {
    // A response's id is all that is needed to read it, so ids come from the system's entropy, not from a
    // generator whose next value could be worked out.
    thread_local std::random_device entropy;
    static constexpr char hex[] = "0123456789abcdef";
    std::string id(prefix);
    for (int word = 0; word < 4; ++word) {
        auto bits = entropy();
        for (int digit = 0; digit < 8; ++digit, bits >>= 4) id += hex[bits & 15];
    }
    return id;
}

}  // namespace troupe::net
