#include "apps/policy_states.hpp"

#include <algorithm>
#include <array>

namespace troupe {
namespace {

class Sampler {
  public:
    explicit Sampler(std::mt19937_64& random) : random_(random) {}

    PolicyStateSample sample() {
        PolicyStateSample state;
        view_.block_size = one_of<std::uint32_t>({1, 2, 16, 256});
        view_.token_budget = one_of<std::uint32_t>({1, 7, 64, 512, 8192});
        view_.max_sequences = one_of<std::uint32_t>({1, 2, 8, 64, 256});
        view_.now_us = upto(1000000000);
        const std::uint32_t most = one_of<std::uint32_t>({0, 1, 3, 20, 400});
        for (std::uint32_t i = most == 0 ? 0 : upto(most) + 1; i > 0; --i)
            state.sequences.push_back(sequence(i));
        std::sort(state.sequences.begin(), state.sequences.end(),
                  [](const PolicySequence& a, const PolicySequence& b) {
                      return std::pair(a.arrival_us, a.id) < std::pair(b.arrival_us, b.id);
                  });
        finish(state);
        return state;
    }

  private:
    std::uint32_t upto(std::uint32_t n) { return n == 0 ? 0 : static_cast<std::uint32_t>(random_() % n); }
    bool one_in(std::uint32_t n) { return upto(n) == 0; }
    template <class T>
    T one_of(std::initializer_list<T> values) {
        return values.begin()[upto(static_cast<std::uint32_t>(values.size()))];
    }
    std::uint32_t blocks_for(std::uint64_t tokens) const {
        return static_cast<std::uint32_t>((tokens + view_.block_size - 1) / view_.block_size);
    }

    PolicySequence sequence(std::uint64_t id) {
        PolicySequence s{};
        s.id = id;
        s.tenant = upto(4);
        s.arrival_us = view_.now_us - upto(one_of({1U, 1000U, 100000000U}));
        s.priority = static_cast<std::int32_t>(upto(5)) - 2;
        s.deadline_us = one_in(4) ? view_.now_us + upto(1000000) : 0;
        s.ttft_target_us = one_in(2) ? 1 + upto(2000000) : 0;
        s.tpot_target_us = one_in(2) ? 1 + upto(200000) : 0;
        s.prompt_tokens = 1 + upto(one_of({1U, 20U, 2000U}));
        s.max_tokens = 1 + upto(one_of({1U, 20U, 1000U}));
        s.oracle_tokens = one_in(2) ? 1 + upto(s.max_tokens) : 0;
        const bool may_run = view_.num_running < view_.max_sequences;
        s.state = may_run && one_in(2) ? std::uint32_t{POLICY_RUNNING}
                                       : one_of<std::uint32_t>({POLICY_WAITING, POLICY_PREEMPTED});
        if (s.state != POLICY_WAITING) s.generated_tokens = upto(s.max_tokens + 1);
        const std::uint32_t known = s.prompt_tokens + s.generated_tokens;
        if (s.generated_tokens > 0) {
            s.last_token_us = std::max<std::int64_t>(s.arrival_us, 1);
            s.first_token_us = s.last_token_us;
        }
        if (s.state == POLICY_RUNNING) {
            ++view_.num_running;
            s.computed_tokens = s.generated_tokens > 0 && !one_in(4) ? known - 1 : upto(known);
            s.blocks_held = blocks_for(s.computed_tokens);
        } else if (one_in(2)) {
            s.cached_prefix_tokens = s.computed_tokens = upto(known);
            s.cached_free_blocks = upto(s.cached_prefix_tokens / view_.block_size + 1);
        }
        s.preemptions = s.state == POLICY_PREEMPTED ? 1 + upto(3) : 0;
        return s;
    }

    // Blocks and costs, when it is known what the sequences hold.
    void finish(PolicyStateSample& state) {
        std::uint64_t held = 0, cached = 0, longest = 1;
        for (const PolicySequence& s : state.sequences) {
            held += s.blocks_held;
            cached += s.cached_free_blocks;
            longest =
                std::max<std::uint64_t>(longest, blocks_for(std::uint64_t{s.prompt_tokens} + s.max_tokens));
        }
        const std::uint64_t spare = one_in(2) ? 0 : upto(one_of({2U, 100U, 100000U}));
        const std::uint64_t total = std::max(held + cached, longest) + spare;
        view_.total_blocks = static_cast<std::uint32_t>(total);
        view_.free_blocks = static_cast<std::uint32_t>(total - held);
        if (!one_in(4)) {
            view_.step_cost_base_us = upto(20000);
            view_.step_cost_per_token_us = upto(1000);
            view_.step_cost_per_context_token_us = upto(100) / 100.0;
        }
        if (one_in(2)) {
            view_.swap_free_blocks = upto(10000);
            view_.swap_us_per_block = 1 + upto(1000);
        }
        view_.struct_size = sizeof(PolicyView);
        view_.sequence_size = sizeof(PolicySequence);
        view_.num_sequences = static_cast<std::uint32_t>(state.sequences.size());
        view_.sequences = state.sequences.data();
        state.view = view_;
    }

    std::mt19937_64& random_;
    PolicyView view_{};
};

}  // namespace

PolicyStateSample random_policy_state(std::mt19937_64& random) { return Sampler(random).sample(); }

}  // namespace troupe
