#include "engine/replica_choice.hpp"

#include <algorithm>

namespace troupe {
namespace {

// Of an open request, in tokens of prompts. What it costs others is little while it decodes, but lasts; from
// 128 to 1,024 the results on real traces differ little (docs/simulation.md).
constexpr std::uint64_t open_weighs = 256;

}  // namespace

std::optional<Routing> parse_routing(std::string_view name) {
    if (name == "least-loaded") return Routing::least_loaded;
    if (name == "round-robin") return Routing::round_robin;
    if (name == "prefix") return Routing::prefix;
    return std::nullopt;
}

// Of the prompt's tokens, those that the replica does not seem to have cached.
std::uint64_t ReplicaChoice::unread(const Replica& replica, const RoutedPrompt& prompt) const {
    if (routing_ != Routing::prefix) return prompt.num_tokens;
    std::uint64_t cached = 0;
    for (const std::uint64_t hash : prompt.chain) {
        if (replica.seen.count(hash) == 0) break;
        cached += prompt.link_tokens;
    }
    return prompt.num_tokens - std::min<std::uint64_t>(cached, prompt.num_tokens);
}

// The longest beginning first: as in the cache, it is forgotten before those that it begins with.
void ReplicaChoice::remember(Replica& replica, const RoutedPrompt& prompt) {
    for (std::size_t length = prompt.chain.size(); length > 0; --length) {
        const auto [place, is_new] = replica.seen.try_emplace(prompt.chain[length - 1], ++clock_);
        if (!is_new) {
            replica.by_time.erase(place->second);
            place->second = clock_;
        }
        replica.by_time[clock_] = prompt.chain[length - 1];
    }
    while (replica.seen.size() * prompt.link_tokens > cached_tokens_) {
        replica.seen.erase(replica.by_time.begin()->second);
        replica.by_time.erase(replica.by_time.begin());
    }
}

std::size_t ReplicaChoice::choose(std::uint64_t id, const RoutedPrompt& prompt) {
    const std::size_t next = (last_ + 1) % replicas_.size();
    std::size_t chosen = next;
    std::uint64_t least = 0;
    for (std::size_t i = 0; routing_ != Routing::round_robin && i < replicas_.size(); ++i) {
        const std::size_t candidate = (next + i) % replicas_.size();
        const Replica& replica = replicas_[candidate];
        const std::uint64_t work =
            replica.unread_tokens + replica.num_open * open_weighs + unread(replica, prompt);
        if (i > 0 && work >= least) continue;
        chosen = candidate;
        least = work;
    }
    Replica& replica = replicas_[chosen];
    const Open open{chosen, unread(replica, prompt)};
    if (routing_ == Routing::prefix) remember(replica, prompt);
    ++replica.num_open;
    replica.unread_tokens += open.unread_tokens;
    open_[id] = open;
    last_ = chosen;
    return chosen;
}

void ReplicaChoice::started(std::uint64_t id) {
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    replicas_[found->second.replica].unread_tokens -= found->second.unread_tokens;
    found->second.unread_tokens = 0;
}

void ReplicaChoice::ended(std::uint64_t id) {
    started(id);
    const auto found = open_.find(id);
    if (found == open_.end()) return;
    --replicas_[found->second.replica].num_open;
    open_.erase(found);
}

}  // namespace troupe
