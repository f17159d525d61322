// Signals as events that one thread waits for.
#pragma once
#include <chrono>
#include <csignal>
#include <optional>
#include <thread>

namespace troupe {

// Make it before any thread is started: threads inherit that these signals do not interrupt them.
class SignalGate {
  public:
    static constexpr int woken = SIGUSR1;

    SignalGate();

    // SIGINT, SIGTERM, SIGHUP, or `woken`.
    int wait() const;
    // The same; empty if the time passed without one.
    std::optional<int> wait_for(std::chrono::milliseconds patience) const;

    // Makes wait() return `woken`. Any thread.
    static void wake();

    // Whether SIGHUP says that the terminal has gone, which ends a program; false without a terminal, as a
    // service, and under nohup.
    bool ends_with_terminal() const { return ends_with_terminal_; }

  private:
    sigset_t signals_{};
    bool ends_with_terminal_ = false;
};

// While it lives, SIGINT and SIGTERM end the process, and SIGHUP if it ends with its terminal: for a main
// thread that is busy and has nothing to save yet, or nothing any more.
class ExitOnSignal {
  public:
    explicit ExitOnSignal(const SignalGate& gate);
    ~ExitOnSignal();
    ExitOnSignal(const ExitOnSignal&) = delete;
    ExitOnSignal& operator=(const ExitOnSignal&) = delete;

  private:
    std::jthread thread_;
};

}  // namespace troupe
