// What is physical and slow about KV memory of one replica: the pool, made empty for each epoch, and the
// tiers below it, which outlive an epoch; all off everybody's path. Which block is where, the scheduler
// knows.
//
//   device <-> host    copied here, at once
//   device, host <-> disk    through a page of its own to the disk's actor and back, one at a time. A job
//   that
//                            has kept the disk for longer than job_patience ends with what it has moved; a
//                            disk that takes longer than disk_patience, or whose actor dies, is given up for
//                            good
//
// Whatever goes wrong with a tier is an answer that says so, and a warning the first time; the sequences
// concerned compute again.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "actors/host_pages.hpp"
#include "actors/messages.hpp"
#include "actors/swap_options.hpp"

namespace troupe {

inline constexpr std::chrono::seconds disk_patience{10};  // for one page
inline constexpr std::chrono::seconds job_patience{5};    // for all pages of a job

// For tests: what takes the place of the disk's own actor and of the real clock, which measures work.
struct SwapHooks {
    std::function<DiskActor(MemoryManagerActor::pointer, std::size_t page_bytes)> spawn_disk = {};
    std::function<TimeUs()> clock = {};
};

struct MemoryManagerOptions {
    std::string model;  // for the log
    std::function<std::shared_ptr<KvPool>()> make_pool;
    SwapOptions swap;
    bool own_threads = true;  // false in tests under virtual time
    SwapHooks hooks = {};
};

struct MemoryManagerState {
    explicit MemoryManagerState(MemoryManagerActor::pointer self) : self_(self) {}

    void start(MemoryManagerOptions options, PoolOwner owner, MoveReceiver scheduler);
    void create_pool(Epoch epoch);
    void begin(const MoveBlocks& message);
    bool is_disk(const caf::actor_addr& source) const { return source == disk_address_; }
    void lose_disk(const std::string& why);

    static inline const char* name = "memory_manager";

  private:
    struct Job {
        MoveBlocks wanted;
        std::uint32_t num_moved = 0;
        TimeUs us = 0;
    };

    void make_tiers(std::size_t page_bytes);
    void advance(Job job);
    void finish(const Job& job);
    bool copy(const BlockMove& move);
    void transfer_next();
    void transferred(Job job, const std::vector<std::byte>& page, const DiskTransferred& answer);
    // Empty, with a warning, if it is not what was put there.
    std::span<const std::byte> host_page(BlockId slot);
    bool read(const BlockPlace& from, std::span<std::byte> bytes);
    bool write(const BlockPlace& to, std::span<const std::byte> bytes);
    void warn(bool& warned, const std::string& what);

    MemoryManagerActor::pointer self_;
    MemoryManagerOptions options_;
    PoolOwner owner_;
    MoveReceiver scheduler_;
    Epoch epoch_ = 0;
    std::shared_ptr<KvPool> pool_;
    HostPages host_;
    DiskActor disk_;                // none: not wanted, or given up
    caf::actor_addr disk_address_;  // one that is given up may still end
    std::deque<Job> waiting_;       // whose next move is one from or to the disk
    bool transferring_ = false;
    bool warned_of_tier_ = false, warned_of_page_ = false;
};

// Detached. Throws what make_pool and the pool throw: it dies, its epoch ends, and the supervisor starts
// another one later.
MemoryManagerActor::behavior_type memory_manager(
    MemoryManagerActor::stateful_pointer<MemoryManagerState> self, MemoryManagerOptions options,
    PoolOwner owner, MoveReceiver scheduler);

}  // namespace troupe
