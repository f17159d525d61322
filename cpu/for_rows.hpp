// Row-wise work shared out over the pool.
#pragma once
#include <algorithm>
#include <cstddef>

#include "cpu/compute_pool.hpp"

namespace troupe {

// Calls body(row) for each row, in parallel if `work` (floats touched per row) makes it worth a join.
template <class Body>
void for_rows(ComputePool& pool, std::size_t count, std::size_t work, Body body) {
    constexpr std::size_t worth_a_chunk = 4096;  // floats: about a microsecond
    const std::size_t per_chunk = std::max<std::size_t>(1, worth_a_chunk / work);
    const std::size_t chunks = (count + per_chunk - 1) / per_chunk;
    if (chunks < 2 * pool.num_threads()) {
        for (std::size_t row = 0; row < count; ++row) body(row);
        return;
    }
    pool.run(chunks, [&](std::size_t chunk, unsigned) {
        const std::size_t end = std::min(count, (chunk + 1) * per_chunk);
        for (std::size_t row = chunk * per_chunk; row < end; ++row) body(row);
    });
}

}  // namespace troupe
