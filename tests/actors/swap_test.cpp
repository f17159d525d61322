// Swapping in a whole troupe under virtual time: whoever dies, the tokens are those of an undisturbed run.
#include <chrono>

#include "tests/actors/fake_disk.hpp"
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

constexpr int num_requests = 6;

std::vector<TokenId> prompt_of(int i) {
    std::vector<TokenId> prompt;
    for (int k = 0; k < 6 + i * 2; ++k) prompt.push_back(100 + (i * 37 + k * 11) % 256);
    return prompt;
}

// Takes a while for each token, so that copying a block is quicker than computing it.
void compute(const ForwardBatch& batch) {
    const auto end = std::chrono::steady_clock::now() + 40us * batch.input_ids.size();
    while (std::chrono::steady_clock::now() < end) {
    }
}

struct SwapFixture : TroupeFixture {
    SwapFixture(std::uint32_t host_pages, std::uint32_t disk_pages) {
        options.scheduler.num_blocks = 12;
        options.scheduler.max_model_len = 48;
        options.scheduler.host_pages = host_pages;
        options.scheduler.disk_pages = disk_pages;
        options.scheduler.host_us_per_block = options.scheduler.disk_us_per_block = 1;
        options.swap = {host_pages, disk_pages, "nowhere"};
        options.backend = fake_backend(12, compute);
        options.supervision.restart_budget = 1000;
        options.swap_hooks.spawn_disk = [state = disk](MemoryManagerActor::pointer self, std::size_t) {
            return self->spawn<caf::linked>(fake_disk, state);
        };
        options.swap_hooks.clock = [] { return TimeUs{0}; };
        if (disk_pages == 0) options.swap_hooks.spawn_disk = {};
    }

    void run_all() {
        start();
        std::vector<std::shared_ptr<Reader>> readers;
        for (int i = 0; i < num_requests; ++i)
            readers.push_back(submit(request("r" + std::to_string(i), prompt_of(i), 24)));
        simulation.advance(std::chrono::minutes(10));
        for (int i = 0; i < num_requests; ++i) {
            REQUIRE(readers[i]->finished);
            CHECK(readers[i]->finished->ids == expected(prompt_of(i), 24));
        }
        CHECK(counter("num_preemptions_total") > 0);
        CHECK(gauge("kv_cache_usage_perc") == 0);
    }
    double swapped(const std::string& direction) {
        return options.status->metrics.snapshot().swapped_blocks.at(direction);
    }

    std::shared_ptr<Disk> disk = std::make_shared<Disk>();
};

}  // namespace

TEST_CASE("preempted sequences come back from host memory and from disk") {
    const auto [host, disk] = GENERATE(std::pair{60U, 0U}, std::pair{8U, 60U}, std::pair{0U, 60U});
    SwapFixture troupe(host, disk);
    troupe.run_all();
    CHECK(troupe.swapped("out") > 0);
    if (host == 60) CHECK(troupe.swapped("in") > 0);  // others may find it in the pool still
    CHECK(troupe.swapped("failed") == 0);
    if (host > 0) CHECK(troupe.gauge("swap_host_usage_perc") > 0);
    if (disk > 0) CHECK(troupe.gauge("swap_disk_usage_perc") > 0);
}

TEST_CASE("what lies below the pool outlives workers") {
    SwapFixture troupe(60, 0);
    troupe.options.fault = {12, 9};
    troupe.run_all();
    CHECK(troupe.counter("worker_restarts_total") > 1);
    CHECK(troupe.swapped("in") > 0);
}

TEST_CASE("a memory manager that dies ends the epoch, and what it had is computed again") {
    SwapFixture troupe(60, 0);
    int moves = 0;
    troupe.options.backend.make_pool = [&] {
        auto pool = std::make_shared<FakePool>(12, FakeBackend::block_size);
        pool->before_read = [&] {
            if (++moves % 9 == 0) throw std::runtime_error("the device is gone");
        };
        return pool;
    };
    troupe.run_all();
    CHECK(moves >= 9);
    CHECK(troupe.counter("worker_restarts_total") >= 1);
}

TEST_CASE("a disk that fails, hangs, changes pages or dies changes nobody's tokens") {
    SwapFixture troupe(GENERATE(0U, 3U), 60);
    const int wrong = GENERATE(0, 1, 2, 3);
    troupe.disk->full = wrong == 0;
    troupe.disk->hangs = wrong == 1;
    troupe.disk->corrupts = wrong == 2;
    troupe.disk->dies = wrong == 3;
    troupe.run_all();
    CHECK(troupe.disk->transfers > 0);
    if (wrong != 2) CHECK(troupe.swapped("failed") > 0);  // changed pages show when they are read
}
