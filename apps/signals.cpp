#include "apps/signals.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdlib>

namespace troupe {

SignalGate::SignalGate() {
    struct sigaction before {};
    ::sigaction(SIGHUP, nullptr, &before);
    const int terminal = ::open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC);
    ends_with_terminal_ = terminal >= 0 && before.sa_handler != SIG_IGN;
    if (terminal >= 0) ::close(terminal);
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    sigaddset(&signals_, SIGHUP);
    sigaddset(&signals_, woken);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
}

int SignalGate::wait() const {
    for (;;) {
        if (const auto signal = wait_for(std::chrono::hours(1))) return *signal;
    }
}

std::optional<int> SignalGate::wait_for(std::chrono::milliseconds patience) const {
    timespec time{};
    time.tv_sec = patience.count() / 1000;
    time.tv_nsec = patience.count() % 1000 * 1'000'000;
    const int signal = ::sigtimedwait(&signals_, nullptr, &time);
    if (signal < 0) return std::nullopt;  // time is over, or a signal that is none of ours came
    return signal;
}

void SignalGate::wake() { ::kill(::getpid(), woken); }

ExitOnSignal::ExitOnSignal(const SignalGate& gate)
    : thread_([&gate](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
              const int signal = gate.wait();
              const bool ends = signal == SIGHUP ? gate.ends_with_terminal() : signal != SignalGate::woken;
              if (ends) std::_Exit(128 + signal);
          }
      }) {}

ExitOnSignal::~ExitOnSignal() {
    thread_.request_stop();
    SignalGate::wake();
}

}  // namespace troupe
