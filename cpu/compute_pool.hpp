// Fork-join over a fixed set of threads: phases of a few microseconds, several hundred in a step.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace troupe {

template <class Signature>
class FunctionRef;

// A callable borrowed for the length of a call: two pointers, no allocation.
template <class R, class... Args>
class FunctionRef<R(Args...)> {
  public:
    template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, FunctionRef> && std::is_invocable_r_v<R, F&, Args...>)
        FunctionRef(F&& callable)
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
          call_([](void* object, Args... args) -> R {
              return (*static_cast<std::remove_reference_t<F>*>(object))(std::forward<Args>(args)...);
          }) {}

    R operator()(Args... args) const { return call_(object_, std::forward<Args>(args)...); }

  private:
    void* object_;
    R (*call_)(void*, Args...);
};

// One per process. Whoever holds the turn is compute thread 0; the pool's own threads are 1 .. num_threads()
// - 1. Helpers spin for a short while after a phase, and only while somebody holds the turn; otherwise they
// sleep.
class ComputePool {
  public:
    using Body = FunctionRef<void(std::size_t chunk, unsigned thread)>;

    // 0 threads: as many as available_cpus(). Throws std::system_error if the system refuses more threads.
    explicit ComputePool(unsigned num_threads = 0);
    ~ComputePool();  // nobody may hold or wait for a turn
    ComputePool(const ComputePool&) = delete;
    ComputePool& operator=(const ComputePool&) = delete;

    unsigned num_threads() const { return static_cast<unsigned>(helpers_.size()) + 1; }

    // The right to run phases, given back when destroyed, on the thread that acquired it.
    class Turn {
      public:
        Turn(Turn&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
        Turn& operator=(Turn&&) = delete;
        ~Turn() {
            if (pool_) pool_->release();
        }

      private:
        friend class ComputePool;
        explicit Turn(ComputePool& pool) : pool_(&pool) {}
        ComputePool* pool_;
    };

    // Waits, asleep, until the callers that came before have given their turns back: workers share the pool
    // in turns of one step. A thread that holds the turn must not acquire another.
    [[nodiscard]] Turn acquire();
    std::size_t num_waiting();  // callers that wait for their turn

    // Runs body(chunk, thread) for every chunk in [0, num_chunks), each once, here and on the helpers;
    // returns when all are done. thread < num_threads() tells those apart that run at the same time (for
    // scratch memory). A chunk that throws: chunks not begun are skipped, and the first exception is thrown
    // here; the pool stays usable. A thread that holds no turn waits for one for this phase. Not to be called
    // from a chunk. num_chunks < 2^31.
    void run(std::size_t num_chunks, Body body);

  private:
    void stop_helpers();
    void release();
    void run_phase(std::size_t num_chunks, Body body);
    void drain(unsigned thread);
    void help(unsigned thread);
    bool wait_for_chunk();  // false: the pool is being destroyed

    // Chunks of the phase << 32 | next chunk: a chunk taken is a chunk of the phase that body_ belongs to.
    alignas(64) std::atomic<std::uint64_t> ticket_{0};
    alignas(64) std::atomic<std::size_t> done_{0};  // chunks of the phase that ended
    // What sleeping helpers wait on: changes when there is work.
    alignas(64) std::atomic<std::uint32_t> wake_{0};
    std::atomic<unsigned> sleepers_{0};
    std::atomic<bool> turn_held_{false};
    std::atomic<bool> stop_{false};
    std::atomic<bool> failed_{false};  // a chunk of this phase threw
    const Body* body_ = nullptr;
    std::exception_ptr error_;  // written by the one that set failed_

    std::mutex turn_mutex_;
    std::condition_variable turn_changed_;
    std::uint64_t next_turn_ = 0;  // of the next caller of acquire()
    std::uint64_t serving_ = 0;
    std::atomic<std::thread::id> holder_{};

    std::vector<std::thread> helpers_;
};

}  // namespace troupe
