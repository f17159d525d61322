// Which of a model's replicas gets a request. Pure; owned by whoever routes. Today that is the simulator: a
// server has one replica of each model, and its router (actors/router_actor.hpp) nothing to choose.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe {

enum class Routing : std::uint8_t {
    least_loaded,  // the least to do; of equals the one after the last chosen
    round_robin,
    prefix,  // the least to do with this prompt, of which a replica that saw its beginning has less to read
};
std::optional<Routing> parse_routing(std::string_view name);  // "least-loaded", "round-robin", "prefix"

// What is known of a prompt before it is routed.
struct RoutedPrompt {
    std::uint32_t num_tokens = 0;
    std::span<const std::uint64_t> chain = {};  // a hash of each beginning, shortest first; may be empty
    std::uint32_t link_tokens = 1;              // by which each beginning is longer than the one before
};

// What a replica has to do is measured in tokens of prompts: those that its open requests still have to read,
// and a fixed number for each open request, whose decoding slows down everything else. What it has cached is
// guessed: the beginnings that were sent there last, as many as its KV cache holds.
class ReplicaChoice {
  public:
    // `cached_tokens`: of the KV cache of one replica.
    ReplicaChoice(Routing routing, std::size_t num_replicas, std::uint64_t cached_tokens)
        : routing_(routing), cached_tokens_(cached_tokens), replicas_(num_replicas) {}

    // `id`: of a request that is not open.
    std::size_t choose(std::uint64_t id, const RoutedPrompt& prompt);
    // Its prompt has been read: its first token is there.
    void started(std::uint64_t id);
    void ended(std::uint64_t id);
    std::uint64_t num_open(std::size_t replica) const { return replicas_[replica].num_open; }

  private:
    struct Replica {
        std::uint64_t num_open = 0;
        std::uint64_t unread_tokens = 0;
        std::map<std::uint64_t, std::uint64_t> seen = {};     // hash of a beginning: when last, in choices
        std::map<std::uint64_t, std::uint64_t> by_time = {};  // the other way round
    };
    struct Open {
        std::size_t replica = 0;
        std::uint64_t unread_tokens = 0;
    };
    std::uint64_t unread(const Replica& replica, const RoutedPrompt& prompt) const;
    void remember(Replica& replica, const RoutedPrompt& prompt);

    Routing routing_;
    std::uint64_t cached_tokens_;
    std::vector<Replica> replicas_;
    std::map<std::uint64_t, Open> open_;  // by request
    std::size_t last_ = 0;                // chosen
    std::uint64_t clock_ = 0;             // of what was seen
};

}  // namespace troupe
