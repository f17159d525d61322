#include "cpu/compute_pool.hpp"

#include <pthread.h>

#include <chrono>
#include <optional>

#include "cpu/available_cpus.hpp"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the serial gaps inside a step, far shorter than what a user of the other cores would notice.
constexpr auto kSpinTime = std::chrono::microseconds(150);

bool is_open(std::uint64_t ticket) { return (ticket & 0xffffffffU) < ticket >> 32; }

void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Spins until `ready` or the time is over; true if it became ready.
template <class Ready>
bool spin(Ready ready) {
    const auto ready_soon = [&] {
        for (int i = 0; i < 32; ++i) {
            if (ready()) return true;
            relax();
        }
        return false;
    };
    if (ready_soon()) return true;  // most joins end here, without a look at the clock
    const auto end = Clock::now() + kSpinTime;
    do {
        if (ready_soon()) return true;
    } while (Clock::now() < end);
    return false;
}

}  // namespace

ComputePool::ComputePool(unsigned num_threads) {
    if (num_threads == 0) num_threads = available_cpus();
    helpers_.reserve(num_threads - 1);
    try {
        for (unsigned thread = 1; thread < num_threads; ++thread) {
            helpers_.emplace_back([this, thread] { help(thread); });
            pthread_setname_np(helpers_.back().native_handle(), "compute");
        }
    } catch (...) {  // the system has no more threads to give
        stop_helpers();
        throw;
    }
}

ComputePool::~ComputePool() { stop_helpers(); }

void ComputePool::stop_helpers() {
    stop_ = true;
    wake_.fetch_add(1);
    wake_.notify_all();
    for (std::thread& helper : helpers_) helper.join();
}

ComputePool::Turn ComputePool::acquire() {
    std::unique_lock lock(turn_mutex_);
    const std::uint64_t turn = next_turn_++;
    turn_changed_.wait(lock, [&] { return serving_ == turn; });
    holder_ = std::this_thread::get_id();
    turn_held_ = true;
    return Turn(*this);
}

std::size_t ComputePool::num_waiting() {
    std::lock_guard lock(turn_mutex_);
    const std::uint64_t taken = next_turn_ - serving_;  // by those that wait and the one that holds it
    return taken == 0 ? 0 : taken - 1;
}

void ComputePool::release() {
    {
        std::lock_guard lock(turn_mutex_);
        ++serving_;
        holder_ = std::thread::id();
        turn_held_ = serving_ != next_turn_;  // a step is queued: helpers may go on spinning for it
    }
    turn_changed_.notify_all();
}

void ComputePool::run(std::size_t num_chunks, Body body) {
    std::optional<Turn> turn;
    if (holder_.load(std::memory_order_relaxed) != std::this_thread::get_id()) turn.emplace(acquire());
    if (helpers_.empty() || num_chunks <= 1) {
        for (std::size_t chunk = 0; chunk < num_chunks; ++chunk) body(chunk, 0);
    } else {
        run_phase(num_chunks, body);
    }
}

// The join waits for chunks, not for threads: a helper that the system has put aside delays the phase only if
// it holds a chunk, and waking a sleeper costs the system call, not the time until it arrives.
void ComputePool::run_phase(std::size_t num_chunks, Body body) {
    body_ = &body;
    done_.store(0, std::memory_order_relaxed);
    // Publishes body_. Sequentially consistent, as is the sleeper's side: either it sees the ticket or we see
    // it.
    ticket_.store(static_cast<std::uint64_t>(num_chunks) << 32);
    if (sleepers_.load() > 0) {
        wake_.fetch_add(1);
        wake_.notify_all();
    }
    drain(0);
    const auto all_done = [&] { return done_.load(std::memory_order_acquire) == num_chunks; };
    while (!spin(all_done)) std::this_thread::yield();
    if (failed_.load(std::memory_order_relaxed)) {
        failed_.store(false, std::memory_order_relaxed);
        std::rethrow_exception(std::exchange(error_, nullptr));
    }
}

void ComputePool::drain(unsigned thread) {
    while (is_open(ticket_.load(std::memory_order_relaxed))) {
        const std::uint64_t ticket = ticket_.fetch_add(1, std::memory_order_acq_rel);
        if (!is_open(ticket)) return;
        // From here to done_ the phase cannot end, so body_ is this phase's.
        if (!failed_.load(std::memory_order_relaxed)) {
            try {
                (*body_)(ticket & 0xffffffffU, thread);
            } catch (...) {
                if (!failed_.exchange(true)) error_ = std::current_exception();
            }
        }
        done_.fetch_add(1, std::memory_order_release);
    }
}

void ComputePool::help(unsigned thread) {
    while (wait_for_chunk()) drain(thread);
}

bool ComputePool::wait_for_chunk() {
    const auto has_work = [&] { return is_open(ticket_.load(std::memory_order_relaxed)); };
    const auto leave_spin = [&] { return has_work() || !turn_held_.load(std::memory_order_relaxed); };
    while (!stop_) {
        if (spin(leave_spin) && has_work()) return true;
        const std::uint32_t seen = wake_.load();
        sleepers_.fetch_add(1);
        if (!is_open(ticket_.load()) && !stop_) wake_.wait(seen);
        sleepers_.fetch_sub(1);
    }
    return false;
}

}  // namespace troupe
