// Tells a page of KV that came back changed from the one that was put away.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace troupe {

// 64 bits over the page and the number of its place, so that a page that was read from, or written to,
// another place is noticed too. Four independent lanes of xor, multiply and rotate, so that it is not slower
// than the copy beside it. Every step can be undone: a change within one word of 8 bytes is always noticed.
// Not against somebody who means to deceive.
inline std::uint64_t page_checksum(std::span<const std::byte> page, std::uint64_t place) {
    constexpr std::uint64_t odd = 0x9E3779B97F4A7C15ULL;  // the golden ratio's bits
    const auto mix = [](std::uint64_t lane, std::uint64_t word) {
        return std::rotl((lane ^ word) * odd, 29);
    };
    std::uint64_t lanes[4] = {place, ~place, odd, ~odd};
    std::size_t at = 0;
    for (; at + sizeof lanes <= page.size(); at += sizeof lanes) {
        std::uint64_t words[4];
        std::memcpy(words, page.data() + at, sizeof words);
        for (int i = 0; i < 4; ++i) lanes[i] = mix(lanes[i], words[i]);
    }
    std::uint64_t sum = mix(page.size(), 0);
    for (; at < page.size(); ++at) sum = mix(sum, std::to_integer<std::uint64_t>(page[at]));
    for (const std::uint64_t lane : lanes) sum = mix(sum, lane);
    return sum ^ (sum >> 32);
}

}  // namespace troupe
