// Which of a model's replicas gets a request. Pure; owned by the router, or by a simulated one.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe {

enum class Routing : std::uint8_t {
    least_loaded,  // the fewest open requests; of equals the one after the last chosen
    round_robin,
    prefix,  // the replica that saw the longest beginning of this prompt, unless it has far more to do than
             // others; then the least loaded
};
std::optional<Routing> parse_routing(std::string_view name);  // "least-loaded", "round-robin", "prefix"

class ReplicaChoice {
  public:
    ReplicaChoice(Routing routing, std::size_t num_replicas) : routing_(routing), open_(num_replicas, 0) {}

    // `chain`: a hash of each beginning of the prompt, shortest first (prefix); may be empty.
    std::size_t choose(std::span<const std::uint64_t> chain);
    // The request that the replica was chosen for has ended.
    void ended(std::size_t replica) { --open_[replica]; }
    std::uint64_t open(std::size_t replica) const { return open_[replica]; }

  private:
    std::size_t least_loaded() const;
    std::optional<std::size_t> known(std::span<const std::uint64_t> chain) const;

    Routing routing_;
    std::vector<std::uint64_t> open_;            // requests of each replica
    std::size_t last_ = 0;                       // chosen
    std::map<std::uint64_t, std::size_t> seen_;  // by hash of a beginning
};

}  // namespace troupe
