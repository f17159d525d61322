// A policy's answers to views made by hand.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "policies/policy_abi.h"
#include "tests/catch.hpp"

namespace troupe::test {

inline PolicySequence sequence(std::uint32_t state, std::uint32_t prompt, std::uint32_t computed,
                               std::uint32_t generated, std::uint32_t blocks) {
    PolicySequence s{};
    s.state = state;
    s.prompt_tokens = prompt;
    s.computed_tokens = computed;
    s.generated_tokens = generated;
    s.max_tokens = 100;
    s.blocks_held = blocks;
    return s;
}

using Rows = std::vector<std::pair<std::uint32_t, std::uint32_t>>;  // index, tokens

struct Answer {
    Rows rows;
    std::vector<std::uint32_t> victims;
    std::vector<std::uint32_t> shed;
};

// One instance of a policy. Blocks have four tokens; `view` keeps what is set in it between decisions.
class Asked {
  public:
    explicit Asked(const PolicyTable& table, const std::string& options = {}) : table_(table) {
        char error[256] = {};
        self_ = table.create(options.c_str(), error, sizeof error);
        INFO(error);
        REQUIRE(error[0] == 0);
        view.block_size = 4;
    }
    ~Asked() { table_.destroy(self_); }
    Asked(const Asked&) = delete;
    Asked& operator=(const Asked&) = delete;

    Answer decide(const std::vector<PolicySequence>& sequences, std::uint32_t budget,
                  std::uint32_t max_sequences, std::uint32_t free_blocks) {
        const auto count = static_cast<std::uint32_t>(sequences.size());
        view.sequences = sequences.data();
        view.num_sequences = count;
        view.num_running = 0;
        for (const auto& s : sequences) view.num_running += s.state == POLICY_RUNNING ? 1 : 0;
        view.token_budget = budget;
        view.max_sequences = max_sequences;
        view.free_blocks = free_blocks;
        std::vector<PolicyRow> rows(count);
        std::vector<std::uint32_t> victims(count), shed(count);
        std::vector<std::uint8_t> actions(count);
        PolicyDecision decision{rows.data(), count,          0,           victims.data(), count,
                                0,           actions.data(), shed.data(), count,          0};
        REQUIRE(table_.decide(self_, &view, &decision) == 0);
        Answer answer;
        for (std::uint32_t i = 0; i < decision.num_rows; ++i) {
            answer.rows.emplace_back(rows[i].sequence, rows[i].num_tokens);
        }
        answer.victims.assign(victims.begin(), victims.begin() + decision.num_victims);
        answer.shed.assign(shed.begin(), shed.begin() + decision.num_shed);
        return answer;
    }
    void tell(PolicyEventKind kind, std::uint64_t id, std::uint64_t tenant, std::int64_t value) {
        const PolicyEvent event{static_cast<std::uint32_t>(kind), 0, id, tenant, view.now_us, value};
        table_.on_event(self_, &event);
    }

    PolicyView view{};

  private:
    const PolicyTable& table_;
    void* self_;
};

// The words with which it refuses its options; empty if it takes them.
inline std::string refusal(const PolicyTable& table, const std::string& options) {
    char error[256] = {};
    void* self = table.create(options.c_str(), error, sizeof error);
    if (error[0] == 0) table.destroy(self);
    return error;
}

}  // namespace troupe::test
