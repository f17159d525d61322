#include "engine/prefix_sharing.hpp"

#include <algorithm>
#include <utility>

namespace troupe {
void PrefixSharing::begin() {
    coming_.clear();
    running_.clear();
    looked_up_before_ += std::exchange(looked_up_, 0);
    for (const Sequence* sequence : state_.by_arrival) {
        if (sequence->status != SequenceStatus::running) continue;
        running_.push_back(sequence);
        note(*sequence);
    }
}

void PrefixSharing::note(const Sequence& running) {
    const SequenceSpec& spec = running.spec;
    if (running.num_computed_tokens + 1 >= spec.tokens.size()) return;
    const std::span<const TokenId> known(spec.tokens.data(), spec.tokens.size() - 1);
    const PrefixMatch have = state_.kv.match_of(running.block_table, spec.cache_salt, known);
    const std::size_t end =
        std::min((std::size_t{have.num_blocks} + 1) * state_.options.block_size, known.size());
    // If it is not remembered although it is computed, another had computed it before.
    if (end > running.num_computed_tokens) coming_.push_back({have.next_key, spec.priority});
}

void PrefixSharing::look(Sequence& sequence) {
    if (state_.kv.is_current(sequence.prefix)) return;
    looked_up_ += state_.kv.match(sequence.prefix, sequence.spec.cache_salt, shareable_tokens(sequence));
}

// Thousands that wait for one beginning find it in the same step: that may take several plans. Who is to be
// admitted is looked up whole in any case.
bool PrefixSharing::look_in_time(Sequence& sequence) {
    if (state_.kv.is_current(sequence.prefix)) return true;
    const SchedulerOptions& options = state_.options;
    const bool in_time = looked_up_ < std::uint64_t{options.lookups_per_place} * options.max_num_seqs;
    if (in_time) {
        look(sequence);
    } else if (!state_.kv.is_there(sequence.prefix)) {
        sequence.prefix = {};
    }
    return in_time;
}

bool PrefixSharing::waits(const Sequence& sequence) const {
    const std::uint64_t wanted = sequence.prefix.next_key;
    if (wanted == 0 || sequence.num_worker_deaths >= deaths_to_run_alone) return false;
    return std::any_of(coming_.begin(), coming_.end(), [&](const Coming& coming) {
        return coming.key == wanted && coming.priority <= sequence.spec.priority;
    });
}

std::optional<KvCacheManager::Tail> PrefixSharing::find_tail(const Sequence& sequence) const {
    const std::uint32_t block_size = state_.options.block_size;
    const std::span<const TokenId> wanted = shareable_tokens(sequence);
    const std::size_t begin = std::size_t{sequence.prefix.num_blocks} * block_size;
    const std::size_t most = std::min(wanted.size(), begin + block_size - 1);
    std::size_t known = begin;  // up to here, from the best so far
    std::optional<KvCacheManager::Tail> longest;
    for (const Sequence* const other : running_) {
        if (known >= most) break;
        if (other->status != SequenceStatus::running) continue;  // preempted in this plan
        const std::vector<TokenId>& tokens = other->spec.tokens;
        const std::size_t end = std::min(most, std::size_t{other->num_computed_tokens});
        if (end <= known || tokens[begin] != wanted[begin] ||
            other->spec.cache_salt != sequence.spec.cache_salt ||
            !state_.kv.follows(other->block_table, sequence.prefix))
            continue;
        std::size_t equal = begin + 1;
        while (equal < end && tokens[equal] == wanted[equal]) ++equal;
        if (equal <= known) continue;
        known = equal;
        longest = {other->block_table, static_cast<std::uint32_t>(equal - begin)};
    }
    return longest;
}

}  // namespace troupe
