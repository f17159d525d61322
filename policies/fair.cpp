#include "policies/fair.hpp"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "policies/batch.hpp"
#include "policies/policy.hpp"

namespace troupe {
namespace {

struct Tenant {
    double counter = 0;
    bool backlogged = false;             // had sequences that waited when last seen
    std::uint32_t live = 0;              // sequences
    std::uint32_t running = 0;           // of them
    std::vector<std::uint32_t> waiting;  // of the view, as they arrived
    std::size_t next = 0;                // of them

    // The view leaves out those that wait for another's prefix, or for their own last token.
    bool waits() const { return live > running; }
};

struct Account {
    Tenant* tenant = nullptr;
    bool prompt_charged = false;
    std::uint32_t generated_charged = 0;
};

class Fair {
  public:
    explicit Fair(PolicyOptions& options)
        : input_weight_(options.number("input_weight", 1, 0, 1e6)),
          output_weight_(options.number("output_weight", 2, 0, 1e6)) {}

    void decide(const PolicyView& view, PolicyDecision& decision) {
        charge(view);
        lift_returning(view);
        Batch batch(view, decision);
        batch.run(batch.running_by(
            [this](const PolicySequence& sequence) { return tenants_[sequence.tenant].counter; }));
        if (batch.has_preempted()) return;
        while (!batch.full()) {
            Tenant* tenant = least_served();
            if (tenant == nullptr) return;
            const std::uint32_t index = tenant->waiting[tenant->next];
            const std::uint32_t rows = decision.num_rows;
            if (!batch.admit(index)) return;
            ++tenant->next;
            if (decision.num_rows > rows) charge_prompt(view.sequences[index]);
        }
    }

    void on_event(const PolicyEvent& event) {
        if (event.kind == POLICY_EVENT_ARRIVED || event.kind == POLICY_EVENT_LIVE) {
            Account& account = accounts_[event.sequence];
            if (account.tenant != nullptr) return;  // submitted again
            account.tenant = &tenants_[event.tenant];
            ++account.tenant->live;
            if (event.kind == POLICY_EVENT_LIVE) {
                account.generated_charged = static_cast<std::uint32_t>(event.value);
                account.prompt_charged = event.value > 0;
            }
        } else if (event.kind == POLICY_EVENT_FINISHED) {
            finish(event);
        }
    }

  private:
    // For tokens generated since the last time.
    void charge(const PolicyView& view) {
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            if (sequence.generated_tokens == 0) continue;
            const auto account = accounts_.find(sequence.id);
            if (account != accounts_.end()) charge_output(account->second, sequence.generated_tokens);
        }
    }
    void charge_output(Account& account, std::uint32_t generated) {
        if (generated <= account.generated_charged) return;
        account.tenant->counter += output_weight_ * (generated - account.generated_charged);
        account.generated_charged = generated;
    }
    void charge_prompt(const PolicySequence& sequence) {
        Account& account = accounts_[sequence.id];
        if (account.tenant == nullptr || account.prompt_charged) return;
        account.prompt_charged = true;
        const std::uint32_t cached = std::min(sequence.cached_prefix_tokens, sequence.prompt_tokens);
        account.tenant->counter += input_weight_ * (sequence.prompt_tokens - cached);
    }

    // Sorts those that wait by tenant, and lifts the counters of tenants that had none.
    void lift_returning(const PolicyView& view) {
        for (auto& [id, tenant] : tenants_) {
            tenant.waiting.clear();
            tenant.next = tenant.running = 0;
        }
        for (std::uint32_t i = 0; i < view.num_sequences; ++i) {
            const PolicySequence& sequence = view.sequences[i];
            Tenant& tenant = tenants_[sequence.tenant];
            if (sequence.state == POLICY_RUNNING) {
                ++tenant.running;
            } else {
                tenant.waiting.push_back(i);
            }
        }
        const double lowest = floor();
        for (auto it = tenants_.begin(); it != tenants_.end();) {
            Tenant& tenant = it->second;
            const bool was = std::exchange(tenant.backlogged, tenant.waits());
            if (tenant.backlogged && !was) tenant.counter = std::max(tenant.counter, lowest);
            if (was && !tenant.backlogged) last_to_leave_ = it->first;
            if (it->first == last_to_leave_) left_at_ = tenant.counter;
            // One without sequences and without debts is forgotten: coming back it would be lifted to the
            // others.
            const bool idle = tenant.live == 0 && tenant.waiting.empty() && tenant.counter <= lowest;
            it = idle ? tenants_.erase(it) : std::next(it);
        }
    }
    // The smallest counter of those that have had sequences waiting since the last decision; if there are
    // none, that of the last that had.
    double floor() const {
        bool none = true;
        double lowest = left_at_;
        for (const auto& [id, tenant] : tenants_) {
            if (!tenant.backlogged || !tenant.waits()) continue;
            lowest = none ? tenant.counter : std::min(lowest, tenant.counter);
            none = false;
        }
        return lowest;
    }
    Tenant* least_served() {
        Tenant* least = nullptr;
        for (auto& [id, tenant] : tenants_) {
            const bool waits = tenant.next < tenant.waiting.size();
            if (waits && (least == nullptr || tenant.counter < least->counter)) least = &tenant;
        }
        return least;
    }

    void finish(const PolicyEvent& event) {
        const auto found = accounts_.find(event.sequence);
        if (found == accounts_.end()) return;
        charge_output(found->second, static_cast<std::uint32_t>(event.value));
        --found->second.tenant->live;
        accounts_.erase(found);
    }

    double input_weight_;
    double output_weight_;
    std::uint64_t last_to_leave_ = 0;            // the tenant that was the last to have none waiting any more
    double left_at_ = 0;                         // its counter
    std::map<std::uint64_t, Tenant> tenants_;    // with live sequences or debts
    std::map<std::uint64_t, Account> accounts_;  // of live sequences
};

}  // namespace

const PolicyTable& fair_policy() { return PolicyAdapter<Fair>::table(); }

}  // namespace troupe
