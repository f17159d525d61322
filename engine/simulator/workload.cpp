#include "engine/simulator/workload.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "engine/simulator/random.hpp"

namespace troupe {
namespace {

constexpr double us_per_second = 1e6;

std::uint32_t around(Random& random, std::uint32_t mean, double spread) {
    const double value = mean * (1 + spread * (2 * random.uniform() - 1));
    return static_cast<std::uint32_t>(std::max(1.0, std::round(value)));
}

double gap(Random& random, const ArrivalOptions& options, std::size_t index) {
    const double mean = us_per_second / options.rate;
    switch (options.kind) {
        case Arrivals::poisson:
            return random.exponential(mean);
        case Arrivals::gamma: {
            const double shape = 1 / (options.variation * options.variation);
            return random.gamma(shape, mean / shape);
        }
        case Arrivals::bursts:
            return (index + 1) % options.burst == 0 ? random.exponential(mean * options.burst) : 0;
    }
    return mean;
}

}  // namespace

Status repeat(Workload& workload, std::size_t count) {
    std::vector<WorkloadRequest>& requests = workload.requests;
    const std::size_t period = requests.size();
    if (period == 0) return {};
    if (count <= period) {
        requests.resize(count);
        return {};
    }
    const TimeUs span = requests.back().arrival - requests.front().arrival;
    const TimeUs length = span + (period > 1 ? span / static_cast<TimeUs>(period - 1) : 0);
    const std::size_t num_hashes = workload.hashes.size();
    std::uint64_t distinct = 0;
    for (const std::uint32_t hash : workload.hashes)
        distinct = std::max<std::uint64_t>(distinct, hash + 1ULL);
    const std::size_t rounds = (count + period - 1) / period;
    if (rounds * distinct > most_hashes || rounds * num_hashes > most_hashes) {
        return invalid_argument("--num-requests: " + std::to_string(rounds) +
                                    " rounds of this trace have more content than can be told apart",
                                "--num-requests");
    }
    workload.hashes.reserve(num_hashes * rounds);
    requests.reserve(count);
    for (std::size_t round = 1; round < rounds; ++round) {
        for (std::size_t i = 0; i < num_hashes; ++i)
            workload.hashes.push_back(workload.hashes[i] + static_cast<std::uint32_t>(round * distinct));
        for (std::size_t i = 0; i < period && requests.size() < count; ++i) {
            WorkloadRequest request = requests[i];
            request.arrival += static_cast<TimeUs>(round) * length;
            request.first_hash += static_cast<std::uint32_t>(round * num_hashes);
            requests.push_back(request);
        }
    }
    return {};
}

void scale_rate(Workload& workload, double factor) {
    for (WorkloadRequest& request : workload.requests)
        request.arrival = static_cast<TimeUs>(std::llround(static_cast<double>(request.arrival) / factor));
}

double mean_rate(const Workload& workload) {
    if (workload.requests.size() < 2) return 0;
    const auto span =
        static_cast<double>(workload.requests.back().arrival - workload.requests.front().arrival);
    return span > 0 ? static_cast<double>(workload.requests.size() - 1) * us_per_second / span : 0;
}

void set_arrivals(Workload& workload, const ArrivalOptions& options) {
    Random random(options.seed);
    double now = 0;
    for (std::size_t i = 0; i < workload.requests.size(); ++i) {
        workload.requests[i].arrival = static_cast<TimeUs>(std::llround(now));
        now += gap(random, options, i);
    }
}

Workload synthetic_workload(const LengthOptions& options) {
    Random random(options.seed ^ 0x6C656E67746873ULL);
    Workload workload;
    if (options.shared_prefix > 0) {
        workload.hash_tokens = options.shared_prefix;
        workload.hashes = {0};
    }
    for (std::size_t i = 0; i < options.count; ++i) {
        WorkloadRequest request;
        request.prompt_tokens = options.shared_prefix + around(random, options.prompt_mean, options.spread);
        request.output_tokens = around(random, options.output_mean, options.spread);
        request.num_hashes = options.shared_prefix > 0 ? 1 : 0;
        workload.requests.push_back(request);
    }
    return workload;
}

void set_tenants(Workload& workload, std::uint32_t count, std::uint64_t seed) {
    Random random(seed ^ 0x74656E616E7473ULL);
    double all = 0;
    for (std::uint32_t tenant = 1; tenant <= count; ++tenant) all += 1.0 / tenant;
    std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> by_beginning;
    for (WorkloadRequest& request : workload.requests) {
        double left = random.uniform() * all;
        request.tenant = 1;
        while (request.tenant < count && (left -= 1.0 / request.tenant) > 0) ++request.tenant;
        if (request.num_hashes < 2) continue;
        const std::uint32_t* hashes = workload.hashes.data() + request.first_hash;
        request.tenant = by_beginning.try_emplace({hashes[0], hashes[1]}, request.tenant).first->second;
    }
}

void set_priorities(Workload& workload, std::uint32_t count, std::uint64_t seed) {
    Random random(seed ^ 0x7072696F72697479ULL);
    for (WorkloadRequest& request : workload.requests) {
        const auto drawn = static_cast<std::uint32_t>(random.uniform() * count);
        request.priority = static_cast<std::int32_t>(std::min(drawn, count - 1));
    }
}

std::vector<TokenId> prompt_of(const Workload& workload, std::size_t index) {
    const WorkloadRequest& request = workload.requests[index];
    // One token over and over, that no other prompt has: odd, hash ids make even ones.
    std::vector<TokenId> tokens(request.prompt_tokens, static_cast<TokenId>(2 * index + 1));
    for (std::uint32_t i = 0; i < request.num_hashes; ++i) {
        const std::uint32_t begin = i * workload.hash_tokens;
        const std::uint32_t end = std::min(begin + workload.hash_tokens, request.prompt_tokens);
        const auto token = static_cast<TokenId>(2 * workload.hashes[request.first_hash + i]);
        for (std::uint32_t position = begin; position < end; ++position) tokens[position] = token;
    }
    return tokens;
}

}  // namespace troupe
