#include "apps/kv_size.hpp"

#include "tests/catch.hpp"

using namespace troupe;

namespace {

constexpr std::uint64_t block_bytes = 1000;
constexpr std::uint32_t context = 100;  // 7 blocks of 16

Result<KvSize> choose(EngineConfig config, std::optional<std::uint64_t> available) {
    return choose_kv_size(config, block_bytes, context, available);
}

}  // namespace

TEST_CASE("a quarter of available memory, at most what can be used") {
    EngineConfig config;
    config.max_num_seqs = 10;
    CHECK(choose(config, 40'000).value().num_blocks == 10);
    CHECK(choose(config, 1'000'000).value().num_blocks == 70);
    CHECK(choose(config, 1'000'000).value().concurrency == 10);
    CHECK(choose(config, std::nullopt).value().num_blocks == 70);
}

TEST_CASE("blocks and bytes can be asked for") {
    EngineConfig config;
    config.kv_blocks = 14;
    CHECK(choose(config, 1'000'000).value().num_blocks == 14);
    CHECK(choose(config, 1'000'000).value().concurrency == 2);
    config.kv_blocks = 0;
    config.kv_memory = 5'999;
    CHECK(choose(config, 1'000'000).value().num_blocks == 5);
    CHECK(choose(config, 1'000'000).value().bytes == 5'000);
}

TEST_CASE("a pool that cannot be is an error that names the flag") {
    EngineConfig config;
    config.kv_blocks = 14;
    CHECK(choose(config, 13'999).error().param == "--kv-blocks");
    config.kv_blocks = 2'000'000'000;
    CHECK(choose(config, std::nullopt).error().param == "--kv-blocks");
    config.kv_blocks = 0;
    config.kv_memory = 999;
    CHECK(choose(config, 1'000'000).error().param == "--kv-memory");
}
