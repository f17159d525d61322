#include "engine/simulator/workload.hpp"

#include <cmath>

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
}

TEST_CASE("the least loaded replica is chosen, in turn among equals; a known prefix comes first") {
    ReplicaChoice least(Routing::least_loaded, 3);
    const auto a = least.choose({}), b = least.choose({}), c = least.choose({});
    CHECK((a != b && b != c && a != c));
    least.ended(b);
    CHECK(least.choose({}) == b);
    ReplicaChoice affine(Routing::prefix, 3);
    const std::uint64_t chain[] = {11, 12, 13}, longer[] = {11, 12, 14};
    const auto home = affine.choose(chain);
    CHECK(affine.choose(longer) == home);
    for (int i = 0; i < 20; ++i) affine.choose(longer);
    CHECK(affine.open(home) < 22);  // not all: it has far more to do than the others
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
