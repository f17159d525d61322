// What a simulation is asked: when requests of which lengths arrive, and which of their tokens are the same.
// A function of its inputs and a seed only.
#pragma once
#include <cstdint>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"

namespace troupe {

struct WorkloadRequest {
    TimeUs arrival = 0;  // the client sends it; never decreasing in a workload
    std::uint32_t prompt_tokens = 0;
    std::uint32_t output_tokens = 0;
    std::uint32_t tenant = 0;
    std::int32_t priority = 0;
    std::uint32_t cache_salt = 0;  // prefixes are shared with requests of the same tenant and salt only
    TimeUs ttft_target = 0, tpot_target = 0;  // 0: the simulation's
    // The prompt's content: hash ids [first_hash, first_hash + num_hashes) of the workload, each for
    // hash_tokens tokens. Without any the prompt has nothing in common with others.
    std::uint32_t first_hash = 0;
    std::uint32_t num_hashes = 0;
};

// Twice a hash id is a token id, so ids are below this, and so are their number and that of requests.
inline constexpr std::uint64_t most_hashes = 0x3FFFFFFF;

struct Workload {
    std::vector<WorkloadRequest> requests;
    std::vector<std::uint32_t> hashes;
    std::uint32_t hash_tokens = 512;
};

// Until there are `count` requests, the whole again after its end, with content of its own each time.
// Fewer requests than there are: the first of them. Error: so much content that ids do not suffice.
Status repeat(Workload& workload, std::size_t count);

// Arrivals `factor` times as fast.
void scale_rate(Workload& workload, double factor);
// Requests per second on average.
double mean_rate(const Workload& workload);

enum class Arrivals : std::uint8_t {
    poisson,
    gamma,   // gaps of a given coefficient of variation: above 1 they come in clusters
    bursts,  // `burst` requests at once, bursts as a Poisson process
};
struct ArrivalOptions {
    Arrivals kind = Arrivals::poisson;
    double rate = 1;          // requests per second
    double variation = 2;     // gamma
    std::uint32_t burst = 8;  // bursts
    std::uint64_t seed = 0;
};
void set_arrivals(Workload& workload, const ArrivalOptions& options);

// Lengths drawn evenly around a mean: mean * (1 - spread) to mean * (1 + spread).
struct LengthOptions {
    std::size_t count = 1000;
    std::uint32_t prompt_mean = 512;
    std::uint32_t output_mean = 128;
    double spread = 0;                // in [0, 1]
    std::uint32_t shared_prefix = 0;  // tokens that all prompts begin with
    std::uint64_t seed = 0;
};
Workload synthetic_workload(const LengthOptions& options);

// Tenants 1 to `count`, drawn with shares as 1, 1/2, 1/3, ... Prompts whose first two hash ids are the same
// are of one tenant: a conversation is.
void set_tenants(Workload& workload, std::uint32_t count, std::uint64_t seed);

// Priorities 0 to `count` - 1, each as often as the others.
void set_priorities(Workload& workload, std::uint32_t count, std::uint64_t seed);

// The prompt of request `index`.
std::vector<TokenId> prompt_of(const Workload& workload, std::size_t index);

}  // namespace troupe
