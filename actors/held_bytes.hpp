// Bytes of heap memory behind strings and vectors, by their capacity: for limits that must mean what they
// say.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace troupe {

// What an allocator takes for that many bytes: a word of its own, rounded up.
constexpr std::size_t allocated_bytes(std::size_t bytes) {
    return bytes == 0 ? 0 : (bytes + 8 + 15) / 16 * 16;
}
inline std::size_t held_bytes(const std::string& text) {
    bool inside = text.capacity() <= std::string().capacity();  // the string itself
    return inside ? 0 : allocated_bytes(text.capacity() + 1);
}
// The elements' own; not what they hold in turn.
template <class T>
std::size_t held_bytes(const std::vector<T>& elements) {
    return allocated_bytes(elements.capacity() * sizeof(T));
}

}  // namespace troupe
