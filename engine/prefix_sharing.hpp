// What a sequence that does not run yet takes from the cache when it does, and whom it waits for. Part of the
// Scheduler machine.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/sequence.hpp"
#include "engine/scheduler_state.hpp"

namespace troupe {

class PrefixSharing {
  public:
    explicit PrefixSharing(SchedulerState& state) : state_(state) {}

    // For a new plan: looks what the sequences that run are about to compute.
    void begin();

    // Brings sequence.prefix up to date.
    void look(Sequence& sequence);
    // The same, while this plan has not looked up so many blocks yet that it would come late; then nothing is
    // looked up, and what sequence.prefix has found before may be less than there is. False in that case.
    bool look_in_time(Sequence& sequence);
    // Of all plans.
    std::uint64_t num_looked_up() const { return looked_up_before_ + looked_up_; }

    // Another is about to compute the next block that it needs, or all that is left but its last token: it is
    // to wait and take that. Unless it has to run alone, or is more urgent: a policy might preempt the other
    // for it again and again. Precondition: sequence.prefix is up to date.
    bool waits(const Sequence& sequence) const;

    // The longest beginning of the block after sequence.prefix that one who runs has computed: to be shared
    // by copy-on-write. Precondition: nobody has ended since begin().
    std::optional<KvCacheManager::Tail> find_tail(const Sequence& sequence) const;

    // What it computes next, others may wait for.
    void note(const Sequence& running);

  private:
    SchedulerState& state_;
    struct Coming {
        std::uint64_t key;
        std::int32_t priority;
    };
    std::vector<Coming> coming_;  // what comes next, of each that runs and has a prompt to read
    // Ran before this plan, by arrival. What others took in it may still have to be copied.
    std::vector<const Sequence*> running_;
    std::uint64_t looked_up_ = 0;  // blocks, for this plan
    std::uint64_t looked_up_before_ = 0;
};

}  // namespace troupe
