#include "apps/kv_size.hpp"

#include "tests/catch.hpp"

using namespace troupe;

namespace {

constexpr std::uint64_t block_bytes = 1000;
constexpr std::uint32_t context = 100;  // 7 blocks of 16

Result<KvSize> choose(EngineConfig config, std::optional<std::uint64_t> available) {
    auto sizes = choose_kv_sizes(config, {{block_bytes, context}}, available);
    if (!sizes) return sizes.error();
    return sizes->front();
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

TEST_CASE("models with memory of their own have that, and the others share what is left") {
    EngineConfig config;
    config.max_num_seqs = 10;
    const auto blocks = [&](const std::vector<KvNeed>& needs, std::optional<std::uint64_t> available) {
        std::vector<std::uint32_t> result;
        const auto sizes = choose_kv_sizes(config, needs, available);
        REQUIRE(sizes.ok());
        for (const KvSize& size : *sizes) result.push_back(size.num_blocks);
        return result;
    };
    const std::vector<KvNeed> needs{{1000, 1000}, {2000, 1000, 9'999}, {3000, 1000}};
    CHECK(blocks(needs, 170'000) == std::vector<std::uint32_t>{10, 4, 10});  // a quarter of 160,001
    CHECK(blocks({{1000, 1000, 5'000}, {1000, 1000, 6'000}}, 20'000) == std::vector<std::uint32_t>{5, 6});
    config.kv_memory = 8'000;
    CHECK(blocks(needs, 170'000) == std::vector<std::uint32_t>{2, 4, 2});
    CHECK(choose_kv_sizes(config, needs, 15'999).error().param == "--kv-memory");
    CHECK(choose_kv_sizes(config, {{1000, 1000}, {2000, 1000, 1'999}}, 170'000).error().param ==
          "--kv-memory");
}

TEST_CASE("several models hold the same number of tokens, and none takes what it cannot use") {
    EngineConfig config;
    config.max_num_seqs = 10;
    const auto blocks = [&](const std::vector<KvNeed>& needs, std::optional<std::uint64_t> available) {
        std::vector<std::uint32_t> result;
        const auto sizes = choose_kv_sizes(config, needs, available);
        REQUIRE(sizes.ok());
        for (const KvSize& size : *sizes) result.push_back(size.num_blocks);
        return result;
    };
    // A quarter of the memory is 40,000 bytes, and one block of each takes 4,000.
    CHECK(blocks({{1000, 1000}, {3000, 1000}}, 160'000) == std::vector<std::uint32_t>{10, 10});
    // The first uses 10 blocks at the most (one a sequence); the rest is the second's.
    CHECK(blocks({{1000, 16}, {3000, 1000}}, 640'000) == std::vector<std::uint32_t>{10, 50});
    CHECK(blocks({{3000, 1000}, {1000, 16}, {1000, 16}}, 640'000) == std::vector<std::uint32_t>{46, 10, 10});
    CHECK(blocks({{1000, 16}, {1000, 16}}, 640'000) == std::vector<std::uint32_t>{10, 10});
    config.kv_memory = 40'000;
    CHECK(blocks({{1000, 1000}, {3000, 1000}}, 160'000) == std::vector<std::uint32_t>{10, 10});
    config.kv_memory = 3'999;
    const auto too_small = choose_kv_sizes(config, {{1000, 1000}, {3000, 1000}}, 160'000);
    CHECK(too_small.error().param == "--kv-memory");
    config.kv_memory = 0;
    config.kv_blocks = 7;
    CHECK(blocks({{1000, 1000}, {3000, 1000}}, 28'000) == std::vector<std::uint32_t>{7, 7});
    CHECK(choose_kv_sizes(config, {{1000, 1000}, {3000, 1000}}, 27'999).error().param == "--kv-blocks");
}

TEST_CASE("swap space is divided into as many blocks for each model") {
    EngineConfig config;
    const std::vector<KvNeed> needs{{1000, 100}, {3000, 100}};
    const std::vector<KvSize> pools{{10, 10'000, 1}, {10, 30'000, 1}};
    CHECK(*choose_swap(config, needs, pools, 1'000'000) == SwapOptions{});  // none unless asked for
    config.swap_space = 9'000;
    CHECK(*choose_swap(config, needs, pools, 1'000'000) == SwapOptions{2, 0, ""});
    config.swap_path = "/var/tmp";
    config.swap_disk_space = 41'000;
    CHECK(*choose_swap(config, needs, pools, std::nullopt) == SwapOptions{2, 10, "/var/tmp"});
    CHECK(choose_swap(config, needs, pools, 48'999).error().param == "--swap-space");
    config.swap_space = 3'999;
    CHECK(choose_swap(config, needs, pools, 1'000'000).error().param == "--swap-space");
}
