#include "cpu/compute_pool.hpp"

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <stdexcept>
#include <string>

#include "cpu/available_cpus.hpp"
#include "tests/catch.hpp"

using namespace troupe;

TEST_CASE("every chunk of every phase runs once", "[compute_pool]") {
    for (unsigned threads : {1U, 2U, 3U, 5U}) {
        ComputePool pool(threads);
        REQUIRE(pool.num_threads() == threads);
        for (std::size_t phase = 0; phase < 3000; ++phase) {
            const std::size_t chunks = phase % 17;
            std::vector<int> runs(chunks, 0);  // not atomic: the join must make the chunks' writes visible
            std::atomic<bool> thread_known{true};
            pool.run(chunks, [&](std::size_t chunk, unsigned thread) {
                ++runs[chunk];
                if (thread >= threads) thread_known = false;
            });
            if (std::count(runs.begin(), runs.end(), 1) != static_cast<long>(chunks) || !thread_known) {
                FAIL("phase " << phase << " with " << threads << " threads");
            }
        }
    }
}

TEST_CASE("a thread index is used by one thread at a time", "[compute_pool]") {
    ComputePool pool(4);
    std::vector<std::atomic<int>> inside(4);
    std::atomic<bool> shared{false};
    for (int phase = 0; phase < 500; ++phase) {
        pool.run(32, [&](std::size_t, unsigned thread) {
            if (inside[thread].fetch_add(1) != 0) shared = true;
            inside[thread].fetch_sub(1);
        });
    }
    CHECK_FALSE(shared);
}

TEST_CASE("sleeping helpers come back", "[compute_pool]") {
    ComputePool pool(2);
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> helpers_chunks{0};
        // Chunk 0 waits until the other thread has run a chunk, so the phase ends only if a helper was woken.
        std::atomic<bool> other{false};
        pool.run(2, [&](std::size_t, unsigned thread) {
            if (thread != 0) {
                ++helpers_chunks;
                other = true;
                other.notify_all();
            } else {
                other.wait(false);
            }
        });
        CHECK(helpers_chunks >= 1);
    }
}

TEST_CASE("an exception in any chunk reaches the caller and leaves the pool usable", "[compute_pool]") {
    for (unsigned threads : {1U, 3U}) {
        ComputePool pool(threads);
        for (std::size_t bad = 0; bad < 40; ++bad) {
            const auto body = [&](std::size_t chunk, unsigned) {
                if (chunk == bad) throw std::runtime_error("chunk " + std::to_string(chunk));
            };
            REQUIRE_THROWS_WITH(pool.run(40, body), "chunk " + std::to_string(bad));
            std::atomic<int> ran{0};
            pool.run(40, [&](std::size_t, unsigned) { ++ran; });
            REQUIRE(ran == 40);
        }
        REQUIRE_THROWS_AS(pool.run(40, [](std::size_t, unsigned) { throw 1; }),
                          int);  // all of them: one wins
    }
}

TEST_CASE("an exception on a helper reaches the caller", "[compute_pool]") {
    ComputePool pool(2);
    std::atomic<bool> other{false};
    const auto body = [&](std::size_t, unsigned thread) {
        if (thread != 0) {
            other = true;
            other.notify_all();
            throw std::runtime_error("helper");
        }
        other.wait(false);
    };
    CHECK_THROWS_WITH(pool.run(2, body), "helper");
}

TEST_CASE("two callers share the pool in turns", "[compute_pool]") {
    ComputePool pool(3);
    std::atomic<int> inside{0};
    std::atomic<bool> overlapped{false};
    const auto steps = [&] {
        for (int step = 0; step < 300; ++step) {
            const ComputePool::Turn turn = pool.acquire();
            if (inside.fetch_add(1) != 0) overlapped = true;
            for (int phase = 0; phase < 5; ++phase) {
                std::atomic<int> ran{0};
                pool.run(7, [&](std::size_t, unsigned) { ++ran; });
                if (ran != 7) overlapped = true;
            }
            inside.fetch_sub(1);
        }
    };
    const auto without_turns = [&] {  // run() takes a turn for itself
        for (int phase = 0; phase < 300; ++phase) {
            int ran[7] = {};
            pool.run(7, [&](std::size_t chunk, unsigned) { ++ran[chunk]; });
            if (std::count(ran, ran + 7, 1) != 7) overlapped = true;
        }
    };
    auto a = std::async(std::launch::async, steps), b = std::async(std::launch::async, steps);
    auto c = std::async(std::launch::async, without_turns);
    a.get(), b.get(), c.get();
    CHECK_FALSE(overlapped);
}

TEST_CASE("turns are given in the order asked for", "[compute_pool]") {
    ComputePool pool(1);
    std::string order;  // written by whoever has the turn
    std::vector<std::future<void>> callers;
    {
        const auto held = pool.acquire();
        for (char name : {'a', 'b', 'c', 'd'}) {
            callers.push_back(std::async(std::launch::async, [&pool, &order, name] {
                const auto turn = pool.acquire();
                order += name;
            }));
            while (pool.num_waiting() < callers.size()) std::this_thread::yield();
        }
        CHECK(order.empty());
    }
    for (auto& caller : callers) caller.get();
    CHECK(order == "abcd");
}

TEST_CASE("whoever comes back waits until the others had their turn", "[compute_pool]") {
    constexpr std::size_t workers = 3, steps = 100;
    ComputePool pool(2);
    std::string order;  // written by whoever has the turn
    std::atomic<std::size_t> working{workers};
    const auto work = [&](char name) {
        for (std::size_t step = 0; step < steps; ++step) {
            const auto turn = pool.acquire();
            order += name;
            // A step lasts long enough for the others to ask for theirs.
            while (step + 1 < steps && pool.num_waiting() < working - 1) std::this_thread::yield();
        }
        --working;
    };
    {
        std::vector<std::future<void>> callers;
        for (char name : {'a', 'b', 'c'}) callers.push_back(std::async(std::launch::async, work, name));
    }
    REQUIRE(order.size() == workers * steps);
    for (std::size_t i = workers; i < order.size() - workers; ++i) {
        if (order[i] != order[i - workers]) FAIL("turn " << i << " of " << order);
    }
}

TEST_CASE("the cgroup's limit is the least on the way up", "[available_cpus]") {
    namespace fs = std::filesystem;
    const fs::path root = fs::temp_directory_path() / "troupe_cgroup_test";
    fs::remove_all(root);
    const auto write = [](const fs::path& path, const std::string& text) {
        fs::create_directories(path.parent_path());
        std::ofstream(path) << text;
    };
    const fs::path membership = root / "membership";

    write(membership, "0::/pod/app\n");
    CHECK(cgroup_cpu_limit(membership, root) == 0);  // nothing there
    write(root / "pod/app/cpu.max", "max 100000\n");
    CHECK(cgroup_cpu_limit(membership, root) == 0);
    write(root / "pod/cpu.max", "350000 100000\n");
    CHECK(cgroup_cpu_limit(membership, root) == 4);
    write(root / "pod/app/cpu.max", "50000 100000\n");
    CHECK(cgroup_cpu_limit(membership, root) == 1);
    write(root / "pod/app/cpu.max", "nonsense");
    CHECK(cgroup_cpu_limit(membership, root) == 4);

    write(membership, "5:memory:/m\n4:cpu,cpuacct:/app\n");
    CHECK(cgroup_cpu_limit(membership, root) == 0);
    write(root / "cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
    write(root / "cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
    CHECK(cgroup_cpu_limit(membership, root) == 0);
    write(root / "cpu,cpuacct/app/cpu.cfs_quota_us", "200000\n");
    CHECK(cgroup_cpu_limit(membership, root) == 2);

    write(membership, "no colons\n0:\n::\n");
    CHECK(cgroup_cpu_limit(membership, root) == 0);
    CHECK(available_cpus() >= 1);
    fs::remove_all(root);
}
