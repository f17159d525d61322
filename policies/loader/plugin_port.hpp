// A plug-in in this process: what it throws, returns or takes of time costs itself only.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "engine/policy_port.hpp"
#include "policies/loader/policy_library.hpp"

namespace troupe {

// Exceptions become Rejected, and so does a decision that took longer than the budget (judged when the call
// has returned). Time beyond the budget is paid back: the plug-in is not asked in the steps that follow until
// it has used no more than the budget for each. It sees a copy of the view, so that it cannot change what its
// decision is checked against. One that never returns, or writes where it should not, is beyond this: see
// isolated_port.hpp.
class PluginPort final : public PolicyPort {
  public:
    static Result<std::unique_ptr<PolicyPort>> make(std::shared_ptr<const PolicyLibrary> library,
                                                    const std::string& options,
                                                    std::chrono::microseconds budget);
    ~PluginPort() override;
    PluginPort(const PluginPort&) = delete;
    PluginPort& operator=(const PluginPort&) = delete;

    PolicyOutcome decide(const PolicyView& view) override;
    void on_event(const PolicyEvent& event) override;

  private:
    PluginPort(std::shared_ptr<const PolicyLibrary> library, std::chrono::microseconds budget)
        : library_(std::move(library)), budget_(budget) {}

    std::shared_ptr<const PolicyLibrary> library_;
    void* self_ = nullptr;
    std::chrono::microseconds budget_;       // for a decision and the events before it
    std::chrono::nanoseconds used_{0};       // since the last decision, and beyond the budget before it
    std::string fault_;                      // in an event; the next decision is rejected for it
    std::vector<PolicySequence> sequences_;  // the copy that it sees
};

}  // namespace troupe
