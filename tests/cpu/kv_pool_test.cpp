// Whole blocks in and out of the CPU's pool.
#include <algorithm>
#include <stdexcept>
#include <thread>
#include <vector>

#include "cpu/kv_pool.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

ModelSpec small_spec() {
    ModelSpec spec;
    spec.num_layers = 3;
    spec.num_kv_heads = 2;
    spec.head_dim = 24;
    return spec;
}

// Every byte of the block, by the addresses that attention uses, as one value after another.
void fill(CpuKvPool& pool, BlockId block, std::size_t start) {
    const KvLayout& layout = pool.layout();
    const auto run = [&](std::byte* at, std::size_t bytes) {
        for (std::size_t i = 0; i < bytes; ++i) at[i] = static_cast<std::byte>(start++ * 7);
    };
    for (std::size_t layer = 0; layer < 3; ++layer) {
        for (std::size_t head = 0; head < 2; ++head) run(pool.k(block, layer, head), layout.k_head_bytes);
        for (std::size_t head = 0; head < 2; ++head) run(pool.v(block, layer, head), layout.v_head_bytes);
    }
}

std::vector<std::byte> bytes_of(const CpuKvPool& pool, BlockId block) {
    std::vector<std::byte> bytes(pool.bytes_per_block());
    pool.read_block(block, bytes);
    return bytes;
}

}  // namespace

TEST_CASE("A block's bytes are those of all its layers, and go into any other block") {
    CpuKvPool pool(KvLayout(small_spec(), KvType::f16, 16), 4);
    for (BlockId block = 0; block < 4; ++block) fill(pool, block, static_cast<std::size_t>(block) * 1000);
    const auto first = bytes_of(pool, 0), second = bytes_of(pool, 1), last = bytes_of(pool, 3);
    CHECK(first != second);
    pool.write_block(2, first);
    CHECK(bytes_of(pool, 2) == first);
    CHECK(bytes_of(pool, 0) == first);
    CHECK(bytes_of(pool, 1) == second);
    CHECK(bytes_of(pool, 3) == last);
    fill(pool, 2, 0);
    CHECK(bytes_of(pool, 2) == first);
}

TEST_CASE("What a block takes: elements, padding of V, and in int8 a scale for each token and head") {
    // 3 layers, 2 heads, 16 tokens: K of 24 elements, V of 32.
    const std::size_t elements = std::size_t{3} * 2 * 16 * (24 + 32);
    CHECK(KvLayout(small_spec(), KvType::f32, 16).block_bytes == 4 * elements);
    CHECK(KvLayout(small_spec(), KvType::f16, 16).block_bytes == 2 * elements);
    CHECK(KvLayout(small_spec(), KvType::bf16, 16).block_bytes == 2 * elements);
    CHECK(KvLayout(small_spec(), KvType::int8, 16).block_bytes == elements + 3 * 2 * 16 * 2 * 4);
    // Scales are aligned whatever the sizes are.
    ModelSpec odd = small_spec();
    odd.head_dim = 10;
    CHECK(KvLayout(odd, KvType::int8, 1).k_scales % 4 == 0);
    CHECK(KvLayout(odd, KvType::int8, 3).block_bytes % 4 == 0);
}

TEST_CASE("Blocks outside of the pool, and parts of blocks, are refused") {
    CpuKvPool pool(KvLayout(small_spec(), KvType::f32, 16), 2);
    std::vector<std::byte> whole(pool.bytes_per_block()), part(pool.bytes_per_block() - 1);
    CHECK_THROWS_AS(pool.read_block(2, whole), std::invalid_argument);
    CHECK_THROWS_AS(pool.read_block(-1, whole), std::invalid_argument);
    CHECK_THROWS_AS(pool.write_block(2, whole), std::invalid_argument);
    CHECK_THROWS_AS(pool.read_block(0, part), std::invalid_argument);
    CHECK_THROWS_AS(pool.write_block(0, part), std::invalid_argument);
}

TEST_CASE("Blocks move beside work on other blocks") {
    CpuKvPool pool(KvLayout(small_spec(), KvType::f16, 16), 4);
    fill(pool, 0, 5);
    const auto moved = bytes_of(pool, 0);
    std::thread compute([&] {
        for (std::size_t i = 0; i < 200; ++i) fill(pool, 1, i);
    });
    for (int i = 0; i < 200; ++i) {
        pool.write_block(2 + i % 2, moved);
        CHECK(bytes_of(pool, 2 + i % 2) == moved);
    }
    compute.join();
    CHECK(bytes_of(pool, 0) == moved);
    fill(pool, 3, 199);
    CHECK(bytes_of(pool, 1) == bytes_of(pool, 3));
}

}  // namespace troupe
