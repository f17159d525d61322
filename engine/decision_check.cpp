#include "engine/decision_check.hpp"

#include <algorithm>
#include <vector>

namespace troupe {
namespace {

std::string about(const PolicyView& view, std::uint32_t index, const char* what) {
    return "sequence " + std::to_string(view.sequences[index].id) + " " + what;
}

const PolicySequence* oldest_running(const PolicyView& view) {
    for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
        if (view.sequences[i].state == POLICY_RUNNING) return &view.sequences[i];
    }
    return nullptr;
}

std::optional<std::string> row_fault(const PolicyView& view, const PolicyRow& row) {
    const PolicySequence& sequence = view.sequences[row.sequence];
    const std::uint32_t remaining =
        sequence.prompt_tokens + sequence.generated_tokens - sequence.computed_tokens;
    if (row.num_tokens == 0) return about(view, row.sequence, "is given no tokens");
    if (row.num_tokens > remaining)
        return about(view, row.sequence, "is given more tokens than it has to compute");
    if (sequence.generated_tokens >= sequence.max_tokens) return about(view, row.sequence, "is about to end");
    return std::nullopt;
}

std::optional<std::string> action_fault(const Decision& decision) {
    const auto& actions = decision.victim_actions;
    if (!actions.empty() && actions.size() != decision.victims.size())
        return "there are not as many victim actions as victims";
    const bool known = std::all_of(actions.begin(), actions.end(),
                                   [](std::uint8_t action) { return action <= POLICY_VICTIM_SWAP; });
    if (!known) return "a victim's action is none that there is";
    return std::nullopt;
}

// `named`: those that the decision names already; those shed are added.
std::optional<std::string> shed_fault(const PolicyView& view, const Decision& decision,
                                      std::vector<bool>& named) {
    for (const std::uint32_t shed : decision.shed) {
        if (shed >= view.num_sequences) return "a sequence to shed is none of the view";
        if (named[shed]) return about(view, shed, "is shed twice, or also a victim or in a row");
        named[shed] = true;
        const PolicySequence& sequence = view.sequences[shed];
        if (sequence.state != POLICY_WAITING || sequence.generated_tokens > 0)
            return about(view, shed, "is shed although it has begun");
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::string> find_fault(const PolicyView& view, const Decision& decision) {
    std::vector<bool> named(view.num_sequences, false);
    std::uint64_t running = view.num_running;
    const PolicySequence* oldest = oldest_running(view);
    bool oldest_is_victim = false;
    for (std::uint32_t victim : decision.victims) {
        if (victim >= view.num_sequences) return "a victim is no sequence of the view";
        if (view.sequences[victim].state != POLICY_RUNNING)
            return about(view, victim, "is a victim but not running");
        if (named[victim]) return about(view, victim, "is a victim twice");
        named[victim] = true;
        oldest_is_victim = oldest_is_victim || &view.sequences[victim] == oldest;
        --running;
    }
    std::uint64_t tokens = 0;
    bool more_urgent = false;  // than the oldest running one
    for (const PolicyRow& row : decision.rows) {
        if (row.sequence >= view.num_sequences) return "a row is for no sequence of the view";
        if (named[row.sequence]) return about(view, row.sequence, "has two rows, or one and is a victim");
        named[row.sequence] = true;
        if (auto fault = row_fault(view, row)) return fault;
        const PolicySequence& sequence = view.sequences[row.sequence];
        if (sequence.state != POLICY_RUNNING) ++running;
        more_urgent = more_urgent || (oldest != nullptr && sequence.priority < oldest->priority);
        tokens += row.num_tokens;
    }
    if (auto fault = action_fault(decision)) return fault;
    if (auto fault = shed_fault(view, decision, named)) return fault;
    if (tokens > view.token_budget) return "the rows exceed the token budget";
    if (running > view.max_sequences) return "more sequences would run than are allowed";
    if (oldest_is_victim && !more_urgent)
        return "the oldest running sequence is preempted for none of higher priority";
    return std::nullopt;
}

}  // namespace troupe
