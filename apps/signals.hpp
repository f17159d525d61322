// Signals as events that one thread waits for.
#pragma once
#include <chrono>
#include <csignal>
#include <optional>

namespace troupe {

// Make it before any thread is started: threads inherit that these signals do not interrupt them.
class SignalGate {
  public:
    static constexpr int woken = SIGUSR1;

    SignalGate();

    // SIGINT, SIGTERM, or `woken`.
    int wait() const;
    // The same; empty if the time passed without one.
    std::optional<int> wait_for(std::chrono::milliseconds patience) const;

    // Makes wait() return `woken`. Any thread.
    static void wake();

  private:
    sigset_t signals_{};
};

}  // namespace troupe
