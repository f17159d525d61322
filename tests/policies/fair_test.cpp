// The bound of virtual token counters, measured: service of tenants that always have sequences waiting.
#include <algorithm>
#include <map>

#include "policies/fair.hpp"
#include "tests/catch.hpp"
#include "tests/policies/asked.hpp"

namespace troupe::test {
namespace {

// A server that does what the policy says: places, blocks and tokens as counts, one token a step for each
// that decodes.
class TinyServer {
  public:
    explicit TinyServer(Asked& policy) : policy_(policy) {}

    void arrive(std::uint64_t tenant, std::uint32_t prompt, std::uint32_t output) {
        PolicySequence s = sequence(POLICY_WAITING, prompt, 0, 0, 0);
        s.id = ++last_id_;
        s.tenant = tenant;
        s.arrival_us = now_;
        s.max_tokens = output;
        sequences_.push_back(s);
        policy_.tell(POLICY_EVENT_ARRIVED, s.id, tenant, prompt);
    }
    std::size_t waiting(std::uint64_t tenant) const {
        return static_cast<std::size_t>(
            std::count_if(sequences_.begin(), sequences_.end(),
                          [&](const auto& s) { return s.tenant == tenant && s.state != POLICY_RUNNING; }));
    }
    void step() {
        ++now_;
        policy_.view.now_us = now_;
        std::uint32_t held = 0;
        for (const auto& s : sequences_) held += s.blocks_held;
        std::vector<PolicySequence> view;
        std::vector<PolicySequence*> shown;
        for (PolicySequence& s : sequences_) {
            if (s.tenant == one_by_one && s.state != POLICY_RUNNING && runs(s.tenant)) continue;
            view.push_back(s);
            shown.push_back(&s);
        }
        const Answer answer = policy_.decide(view, budget, places, blocks - held);
        for (const std::uint32_t victim : answer.victims) {
            shown[victim]->state = POLICY_PREEMPTED;
            shown[victim]->computed_tokens = shown[victim]->blocks_held = 0;
        }
        for (const auto& [index, tokens] : answer.rows) {
            PolicySequence& s = *shown[index];
            if (s.state == POLICY_WAITING) service[s.tenant] += s.prompt_tokens;  // w_p = 1, at admission
            s.state = POLICY_RUNNING;
            s.computed_tokens += tokens;
            s.blocks_held = std::max(s.blocks_held, (s.computed_tokens + 3) / 4);
            if (s.computed_tokens < s.prompt_tokens + s.generated_tokens) continue;
            ++s.generated_tokens;
            service[s.tenant] += 2;  // w_q
        }
        for (const auto& s : sequences_) {
            if (s.generated_tokens == s.max_tokens)
                policy_.tell(POLICY_EVENT_FINISHED, s.id, s.tenant, s.max_tokens);
        }
        std::erase_if(sequences_, [](const auto& s) { return s.generated_tokens == s.max_tokens; });
    }

    static constexpr std::uint32_t budget = 64, blocks = 60;
    std::uint32_t places = 8;
    std::map<std::uint64_t, double> service;
    // The view hides those of this tenant that wait while one of them runs, as the engine does with those
    // whose prefix another computes.
    std::uint64_t one_by_one = 0;

  private:
    bool runs(std::uint64_t tenant) const {
        return std::any_of(sequences_.begin(), sequences_.end(),
                           [&](const auto& s) { return s.tenant == tenant && s.state == POLICY_RUNNING; });
    }
    Asked& policy_;
    std::vector<PolicySequence> sequences_;
    std::uint64_t last_id_ = 0;
    std::int64_t now_ = 0;
};

TEST_CASE("fair: no backlogged tenant gets less than its share by more than the bound") {
    Asked policy(fair_policy());
    TinyServer server(policy);
    // Theorem 4.4: 2 max(w_p * longest prompt, w_q * tokens of the pool).
    const double bound = 2 * std::max(1.0 * 40, 2.0 * TinyServer::blocks * 4);
    for (int step = 0; step < 3000; ++step) {
        // 1 floods the server with many long ones, 2 has few short ones, 3 long prompts; all always have some
        // waiting.
        while (server.waiting(1) < 50) server.arrive(1, 10, 40);
        while (server.waiting(2) < 2) server.arrive(2, 3, 4);
        while (server.waiting(3) < 3) server.arrive(3, 40, 2);
        server.step();
        for (const std::uint64_t a : {1, 2, 3}) {
            for (const std::uint64_t b : {1, 2, 3})
                REQUIRE(std::abs(server.service[a] - server.service[b]) <= bound);
        }
    }
    // And over all, equal shares: first come, first served would give the first nearly everything.
    CHECK(server.service[2] > 0.9 * server.service[1]);
    CHECK(server.service[3] > 0.9 * server.service[1]);
    CHECK(server.service[1] > 5000);
}

TEST_CASE("fair: one whose sequences the view hides at times is not taken for one that was away") {
    Asked policy(fair_policy());
    TinyServer server(policy);
    server.places = 2;
    server.one_by_one = 2;
    for (int step = 0; step < 20000; ++step) {
        while (server.waiting(1) < 5) server.arrive(1, 10, 40);
        while (server.waiting(2) < 5) server.arrive(2, 10, 3);
        server.step();
    }
    CHECK(server.service[1] > 5000);
    CHECK(std::abs(server.service[1] - server.service[2]) <= 2 * 2.0 * TinyServer::blocks * 4);
}

TEST_CASE("fair: being away saves nothing up, and owes what was used") {
    Asked policy(fair_policy());
    TinyServer server(policy);
    for (int step = 0; step < 300; ++step) {
        while (server.waiting(1) < 20) server.arrive(1, 10, 20);
        server.step();
    }
    const double before = server.service[1];
    CHECK(server.service.count(2) == 0);
    double most_ahead = 0;
    for (int step = 0; step < 300; ++step) {
        while (server.waiting(1) < 20) server.arrive(1, 10, 20);
        while (server.waiting(2) < 20) server.arrive(2, 10, 20);
        server.step();
        most_ahead = std::max(most_ahead, server.service[2] - (server.service[1] - before));
    }
    CHECK(server.service[1] - before > 0.5 * server.service[2]);  // the newcomer does not shut it out
    CHECK(most_ahead <= 2 * 2.0 * TinyServer::blocks * 4);
}

}  // namespace
}  // namespace troupe::test
