#include "kvcache/kv_cache_manager.hpp"

#include "tests/catch.hpp"

namespace troupe {
namespace {

TEST_CASE("blocks are given for tokens, in a fixed order, all or none") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 4});
    const auto a = kv.create();
    auto first = kv.extend(a, 5, 1);
    REQUIRE(first);
    CHECK(first->new_blocks == std::vector<BlockId>{0, 1});
    CHECK(kv.extend(a, 3, 2)->new_blocks.empty());
    const auto b = kv.create();
    CHECK(kv.blocks_needed(b, 9) == 3);
    CHECK_FALSE(kv.extend(b, 9, 2));
    CHECK(kv.num_free() == 2);
    CHECK(kv.block_table(b).empty());
    CHECK(kv.extend(b, 8, 2)->new_blocks == std::vector<BlockId>{2, 3});
    kv.check_invariants();
}

TEST_CASE("released blocks wait for the last step that uses them, and only for that") {
    KvCacheManager kv({.num_blocks = 4, .block_size = 1});
    const auto a = kv.create();
    const auto b = kv.create();
    REQUIRE(kv.extend(a, 2, 1));
    REQUIRE(kv.extend(b, 2, 2));
    kv.end_step(1);
    kv.release(a);  // its step has ended
    CHECK(kv.num_free() == 2);
    kv.release(b);  // step 2 is in flight
    CHECK(kv.num_free() == 2);
    CHECK(kv.num_retired() == 2);
    kv.check_invariants();
    kv.end_step(2);
    CHECK(kv.num_free() == 4);
    kv.check_invariants();
}

}  // namespace
}  // namespace troupe
