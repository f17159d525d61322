#include "engine/simulator/workload.hpp"

#include <cmath>
#include <set>

#include "engine/replica_choice.hpp"
#include "engine/simulator/measures.hpp"
#include "engine/simulator/random.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

Workload two_requests() {
    Workload workload;
    workload.hashes = {0, 1, 0, 2};
    workload.hash_tokens = 4;
    workload.requests = {
        {.arrival = 0, .prompt_tokens = 7, .output_tokens = 3, .first_hash = 0, .num_hashes = 2},
        {.arrival = 100, .prompt_tokens = 9, .output_tokens = 2, .first_hash = 2, .num_hashes = 2}};
    return workload;
}

// Mean and coefficient of variation of the gaps, in seconds.
std::pair<double, double> gaps(const Workload& workload) {
    double sum = 0, squares = 0;
    const auto n = static_cast<double>(workload.requests.size() - 1);
    for (std::size_t i = 1; i < workload.requests.size(); ++i) {
        const double gap =
            static_cast<double>(workload.requests[i].arrival - workload.requests[i - 1].arrival) / 1e6;
        sum += gap;
        squares += gap * gap;
    }
    const double mean = sum / n;
    return {mean, std::sqrt(squares / n - mean * mean) / mean};
}

}  // namespace

TEST_CASE("prompts begin alike where their hash ids do, and nowhere else") {
    Workload workload = two_requests();
    workload.requests.push_back({.arrival = 200, .prompt_tokens = 7, .output_tokens = 1});
    workload.requests.push_back({.arrival = 300, .prompt_tokens = 7, .output_tokens = 1});
    const auto first = prompt_of(workload, 0), second = prompt_of(workload, 1);
    REQUIRE(first.size() == 7);
    REQUIRE(second.size() == 9);
    CHECK(std::equal(first.begin(), first.begin() + 4, second.begin()));
    CHECK(first[4] != second[4]);
    CHECK(second[8] != second[7]);  // beyond its ids: of its own
    CHECK(prompt_of(workload, 2) != prompt_of(workload, 3));
    CHECK(prompt_of(workload, 2)[0] != first[0]);
}

TEST_CASE("a repeated workload goes on at its own rate with new content") {
    Workload workload = two_requests();
    REQUIRE(repeat(workload, 5).ok());
    REQUIRE(workload.requests.size() == 5);
    CHECK(workload.requests[2].arrival == 200);
    CHECK(workload.requests[4].arrival == 400);
    const auto first = prompt_of(workload, 0), again = prompt_of(workload, 2),
               sibling = prompt_of(workload, 3);
    CHECK(first[0] != again[0]);
    CHECK(again[0] == sibling[0]);
    REQUIRE(repeat(workload, 1).ok());
    CHECK(workload.requests.size() == 1);
}

TEST_CASE("arrivals have their rate and their variation, and depend on the seed only") {
    for (const auto& [kind, variation] :
         {std::pair{Arrivals::poisson, 1.0}, std::pair{Arrivals::gamma, 3.0}}) {
        Workload workload = synthetic_workload({.count = 50000});
        ArrivalOptions options{.kind = kind, .rate = 20, .variation = 3, .seed = 7};
        set_arrivals(workload, options);
        const auto [mean, cv] = gaps(workload);
        CHECK(std::fabs(mean - 0.05) < 0.05 * 0.05);
        CHECK(std::fabs(cv - variation) < 0.1 * variation);
        Workload again = synthetic_workload({.count = 50000});
        set_arrivals(again, options);
        CHECK(again.requests.back().arrival == workload.requests.back().arrival);
        options.seed = 8;
        set_arrivals(again, options);
        CHECK(again.requests.back().arrival != workload.requests.back().arrival);
    }
    Workload bursts = synthetic_workload({.count = 8000});
    set_arrivals(bursts, {.kind = Arrivals::bursts, .rate = 20, .burst = 8, .seed = 1});
    CHECK(bursts.requests[7].arrival == 0);
    CHECK(bursts.requests[8].arrival > 0);
    CHECK(std::fabs(mean_rate(bursts) - 20) < 2);
}

TEST_CASE("synthetic lengths, prefixes and tenants are as asked for") {
    Workload workload = synthetic_workload({.count = 2000,
                                            .prompt_mean = 100,
                                            .output_mean = 50,
                                            .spread = 0.5,
                                            .shared_prefix = 64,
                                            .seed = 1});
    for (const WorkloadRequest& request : workload.requests) {
        CHECK((request.prompt_tokens >= 64 + 50 && request.prompt_tokens <= 64 + 150));
        CHECK((request.output_tokens >= 25 && request.output_tokens <= 75));
    }
    const auto a = prompt_of(workload, 0), b = prompt_of(workload, 1);
    CHECK(a[63] == b[63]);
    CHECK(a[64] != b[64]);
    set_tenants(workload, 2, 1);
    std::size_t first = 0;
    for (const WorkloadRequest& request : workload.requests) {
        CHECK((request.tenant == 1 || request.tenant == 2));
        first += request.tenant == 1 ? 1 : 0;
    }
    CHECK(std::fabs(static_cast<double>(first) / 2000 - 2.0 / 3) < 0.05);
    // Who goes on with a conversation is the same tenant; the first block alone says nothing.
    for (WorkloadRequest& request : workload.requests) request.num_hashes = 2;
    for (std::uint32_t i = 0; i < 2000; ++i) {
        workload.requests[i].first_hash = 2 * i;
        workload.hashes.resize(4000);
        workload.hashes[2 * i] = 0;
        workload.hashes[2 * i + 1] = 1 + i % 500;
    }
    set_tenants(workload, 2, 1);
    first = 0;
    for (std::uint32_t i = 0; i < 2000; ++i) {
        CHECK(workload.requests[i].tenant == workload.requests[i % 500].tenant);
        first += workload.requests[i].tenant == 1 ? 1 : 0;
    }
    CHECK(std::fabs(static_cast<double>(first) / 2000 - 2.0 / 3) < 0.07);
}

TEST_CASE("the replica with the least to do is chosen, in turn among equals") {
    ReplicaChoice least(Routing::least_loaded, 3, 1000);
    const auto a = least.choose(1, {100}), b = least.choose(2, {100}), c = least.choose(3, {100});
    CHECK((a != b && b != c && a != c));
    least.ended(2);
    CHECK(least.choose(4, {5000}) == b);
    // Two with short prompts are less to do than one with a long one that nobody has read yet.
    CHECK(least.choose(5, {100}) != b);
    CHECK(least.choose(6, {100}) != b);
    CHECK(least.choose(7, {100}) != b);
    least.started(4);
    CHECK(least.choose(8, {100}) == b);
    least.ended(4);
    least.ended(4);  // an unknown one is nobody's
    least.started(99);
    CHECK(least.num_open(b) == 1);
}

TEST_CASE("a cached beginning is worth the tokens that need not be read, and no more") {
    ReplicaChoice affine(Routing::prefix, 3, 100'000);
    const std::uint64_t chain[] = {11, 12, 13}, longer[] = {11, 12, 14}, other[] = {11, 22, 23};
    const auto send = [&](std::uint64_t id, std::span<const std::uint64_t> links) {
        const auto replica = affine.choose(id, {1600, links, 500});
        affine.started(id);
        return replica;
    };
    const auto home = send(1, chain);
    CHECK(send(2, longer) == home);
    // It has far more to do than the others: another one reads the beginning too, and has it from then on.
    std::set<std::size_t> replicas;
    for (std::uint64_t id = 3; id < 23; ++id) replicas.insert(send(id, longer));
    CHECK(replicas.size() == 3);
    for (std::size_t replica = 0; replica < 3; ++replica) CHECK(affine.num_open(replica) < 10);
    // A beginning that all prompts have draws nobody to the one who saw it last.
    ReplicaChoice shared(Routing::prefix, 3, 100'000);
    std::vector<std::uint64_t> each(3, 0);
    for (std::uint64_t id = 0; id < 60; ++id) {
        const std::uint64_t links[] = {11, 100 + 2 * id, 101 + 2 * id};
        ++each[shared.choose(id, {1600, links, 500})];
    }
    for (const std::uint64_t count : each) CHECK((count > 15 && count < 25));
    // What no longer fits into the cache is forgotten, the ends of chains before their beginnings.
    ReplicaChoice small(Routing::prefix, 2, 1500);
    const auto first = small.choose(1, {1500, chain, 500});
    small.ended(1);
    CHECK(small.choose(2, {1500, other, 500}) == first);  // it has 11, though not for this
    small.ended(2);
    CHECK(small.choose(3, {1500, longer, 500}) == first);
    small.ended(3);
    const std::uint64_t strange[] = {31, 32, 33};
    CHECK(small.choose(4, {1500, strange, 500}) != first);
}

TEST_CASE("histograms and timelines keep sums and percentiles in bounded memory") {
    DurationHistogram histogram;
    for (int i = 1; i <= 10000; ++i) histogram.add(i * 10.0);
    CHECK(std::fabs(histogram.percentile_us(50) - 50000) < 0.005 * 50000);
    CHECK(std::fabs(histogram.percentile_us(99) - 99000) < 0.005 * 99000);
    CHECK(std::fabs(histogram.mean_us() - 50005) < 1);
    Timeline timeline;
    double tokens = 0, running = 0;
    for (TimeUs t = 0; t < 100'000'000; t += 50'000) {
        timeline.add_state(t, t + 50'000, 2, 1, 0.5);
        timeline.add_amount(t, Timeline::tokens, 3);
    }
    CHECK(timeline.spans().size() <= 400);
    for (const Timeline::Values& span : timeline.spans()) {
        tokens += span[Timeline::tokens];
        running += span[Timeline::running];
    }
    CHECK(tokens == 6000);
    CHECK(running == 2 * 100'000'000.0);
}
