#include "engine/replica_choice.hpp"

#include <numeric>

namespace troupe {
namespace {

// A replica may have that many open requests more than the mean and still get those whose prefix it knows.
constexpr double tolerated_factor = 1.25;
constexpr double tolerated_more = 4;
constexpr std::size_t most_seen = 1 << 20;  // then the memory begins anew

}  // namespace

std::optional<Routing> parse_routing(std::string_view name) {
    if (name == "least-loaded") return Routing::least_loaded;
    if (name == "round-robin") return Routing::round_robin;
    if (name == "prefix") return Routing::prefix;
    return std::nullopt;
}

std::size_t ReplicaChoice::least_loaded() const {
    std::size_t best = (last_ + 1) % open_.size();
    for (std::size_t i = 2; i <= open_.size(); ++i) {
        const std::size_t replica = (last_ + i) % open_.size();
        if (open_[replica] < open_[best]) best = replica;
    }
    return best;
}

std::optional<std::size_t> ReplicaChoice::known(std::span<const std::uint64_t> chain) const {
    const auto all = static_cast<double>(std::accumulate(open_.begin(), open_.end(), std::uint64_t{0}));
    const double tolerated = all / static_cast<double>(open_.size()) * tolerated_factor + tolerated_more;
    for (std::size_t length = chain.size(); length > 0; --length) {
        const auto found = seen_.find(chain[length - 1]);
        if (found != seen_.end() && static_cast<double>(open_[found->second]) < tolerated)
            return found->second;
    }
    return std::nullopt;
}

std::size_t ReplicaChoice::choose(std::span<const std::uint64_t> chain) {
    std::size_t chosen = (last_ + 1) % open_.size();
    if (routing_ == Routing::least_loaded) chosen = least_loaded();
    if (routing_ == Routing::prefix) {
        chosen = known(chain).value_or(least_loaded());
        if (seen_.size() > most_seen) seen_.clear();
        for (const std::uint64_t hash : chain) seen_[hash] = chosen;
    }
    last_ = chosen;
    ++open_[chosen];
    return chosen;
}

}  // namespace troupe
