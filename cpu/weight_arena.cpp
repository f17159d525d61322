#include "cpu/weight_arena.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <utility>

namespace troupe {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kSlab = std::size_t{64} << 20;  // untouched pages of a slab cost nothing

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

void WeightArena::Unmap::operator()(std::byte* start) const { munmap(start, bytes); }

std::byte* WeightArena::allocate(std::size_t bytes) {
    if (bytes > std::numeric_limits<std::size_t>::max() / 2) throw std::bad_alloc();
    bytes = round_up(bytes, 64);
    if (bytes > left_) {
        const std::size_t usable = round_up(std::max(bytes, kSlab), kHugePage);
        const std::size_t mapped = usable + kHugePage;  // room to align
        void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED) throw std::bad_alloc();
        slabs_.emplace_back(static_cast<std::byte*>(start), Unmap{mapped});
        const auto address = reinterpret_cast<std::uintptr_t>(start);
        next_ = static_cast<std::byte*>(start) + (round_up(address, kHugePage) - address);
        left_ = usable;
        madvise(next_, usable, MADV_HUGEPAGE);  // a wish: without it all works, more slowly
    }
    left_ -= bytes;
    bytes_used_ += bytes;
    return std::exchange(next_, next_ + bytes);
}

}  // namespace troupe
