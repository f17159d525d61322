// A policy in a process of its own: it can crash, loop for ever or write anywhere, and costs itself only.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "engine/policy_port.hpp"
#include "policies/loader/make_policy.hpp"
#include "policies/loader/policy_pipe.hpp"

namespace troupe {

// Each decision crosses a socket with the flat view and has the choice's budget as its deadline. A process
// that is late or dies is killed and replaced, after a pause that doubles (100 ms to 10 s) until one has
// decided again; FCFS decides meanwhile. The new instance is first told of every live sequence.
class IsolatedPort final : public PolicyPort {
  public:
    // Waits until the policy has started, five seconds at most.
    static Result<std::unique_ptr<PolicyPort>> make(const PolicyChoice& choice);
    ~IsolatedPort() override;
    IsolatedPort(const IsolatedPort&) = delete;
    IsolatedPort& operator=(const IsolatedPort&) = delete;

    PolicyOutcome decide(const PolicyView& view) override;
    void on_event(const PolicyEvent& event) override;

  private:
    using Clock = std::chrono::steady_clock;
    enum class State : std::uint8_t { dead, starting, ready };

    explicit IsolatedPort(PolicyChoice choice) : choice_(std::move(choice)) {}

    Status spawn();
    // Its answer to `create`, if it has come by then.
    Status await_start(Clock::time_point deadline);
    Rejected lose(const std::string& why);
    void kill_process();
    bool bring_up(const PolicyView& view, Rejected& why_not);
    void tell_of_the_living(const PolicyView& view);
    PolicyOutcome receive_decision(const PolicyView& view, Clock::time_point deadline);

    PolicyChoice choice_;
    State state_ = State::dead;
    pid_t process_ = -1;
    int socket_ = -1;
    Clock::time_point start_by_, restart_at_;
    std::chrono::milliseconds pause_{100};
    std::string outgoing_;  // events since the last decision
    std::string incoming_;
    std::map<std::uint64_t, std::uint64_t> tenants_;  // of each live sequence
};

}  // namespace troupe
