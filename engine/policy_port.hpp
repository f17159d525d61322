// How the Scheduler asks a policy. The port belongs to the shell: a live one may run a plug-in on a thread of
// its own and answer Rejected when its time is over; a replaying one answers what the recording holds.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "policies/policy_abi.h"

namespace troupe {

// A policy's answer: rows, victims and shed hold indices into the view's sequences; see PolicyDecision for
// the meaning. Without actions, those of all victims are POLICY_VICTIM_BY_COST.
struct Decision {
    std::vector<PolicyRow> rows;
    std::vector<std::uint32_t> victims;
    std::vector<std::uint8_t> victim_actions = {};  // as many as victims, or none
    std::vector<std::uint32_t> shed = {};
};

// The policy gave no usable answer; FCFS decides this step.
struct Rejected {
    std::string reason;
};

using PolicyOutcome = std::variant<Decision, Rejected>;

// Called synchronously by the Scheduler, inside handle().
class PolicyPort {
  public:
    virtual ~PolicyPort() = default;
    virtual PolicyOutcome decide(const PolicyView& view) = 0;
    virtual void on_event(const PolicyEvent& event) = 0;
};

// One call of a table's decide(), made into an outcome: its arrays, its counts against theirs, its return
// value.
PolicyOutcome call_decide(const PolicyTable& table, void* self, const PolicyView& view);

// The policy behind it can be replaced while the Scheduler runs; then tell that of it (PolicyReplaced).
class PolicySlot final : public PolicyPort {
  public:
    explicit PolicySlot(std::shared_ptr<PolicyPort> policy) : policy_(std::move(policy)) {}
    void replace(std::shared_ptr<PolicyPort> policy) { policy_ = std::move(policy); }

    PolicyOutcome decide(const PolicyView& view) override { return policy_->decide(view); }
    void on_event(const PolicyEvent& event) override { policy_->on_event(event); }

  private:
    std::shared_ptr<PolicyPort> policy_;
};

// Calls a policy's C table directly, for policies that are trusted to return and not to throw. The table must
// outlive the port.
class TablePolicyPort final : public PolicyPort {
  public:
    // Throws std::invalid_argument with the policy's own words if it does not accept the options.
    explicit TablePolicyPort(const PolicyTable& table, const std::string& options = {});
    ~TablePolicyPort() override;
    TablePolicyPort(const TablePolicyPort&) = delete;
    TablePolicyPort& operator=(const TablePolicyPort&) = delete;

    PolicyOutcome decide(const PolicyView& view) override;
    void on_event(const PolicyEvent& event) override;

  private:
    const PolicyTable& table_;
    void* self_;
};

}  // namespace troupe
