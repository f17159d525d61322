#include "actors/memory_manager_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

#include "actors/disk_actor.hpp"

namespace troupe {
namespace {

TimeUs real_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

bool uses_disk(const BlockMove& move) { return move.from.tier == Tier::disk || move.to.tier == Tier::disk; }

}  // namespace

void MemoryManagerState::start(MemoryManagerOptions options, PoolOwner owner, MoveReceiver scheduler) {
    options_ = std::move(options);
    owner_ = std::move(owner);
    scheduler_ = std::move(scheduler);
    if (!options_.hooks.clock) options_.hooks.clock = real_us;
    if (options_.hooks.spawn_disk || options_.swap.disk_pages == 0) return;
    options_.hooks.spawn_disk = [this](MemoryManagerActor::pointer self, std::size_t page_bytes) {
        const DiskOptions wanted{options_.swap.directory, page_bytes, options_.swap.disk_pages};
        return options_.own_threads ? self->spawn<caf::detached + caf::linked>(disk, wanted)
                                    : self->spawn<caf::linked>(disk, wanted);
    };
}

void MemoryManagerState::create_pool(Epoch epoch) {
    epoch_ = epoch;  // moves of the epoch before end unanswered
    const bool first = pool_ == nullptr;
    pool_.reset();  // before there is another one
    pool_ = options_.make_pool();
    if (first) make_tiers(pool_->bytes_per_block());
    self_->send(owner_, PoolReady{epoch}, PoolHandle{pool_});
}

void MemoryManagerState::make_tiers(std::size_t page_bytes) {
    try {
        if (options_.swap.host_pages > 0) host_ = HostPages(page_bytes, options_.swap.host_pages);
    } catch (const std::bad_alloc&) {
        warn(warned_of_tier_, "there is not enough memory for --swap-space");
    }
    if (!options_.hooks.spawn_disk) return;
    disk_ = options_.hooks.spawn_disk(self_, page_bytes);
    disk_address_ = disk_.address();
}

void MemoryManagerState::begin(const MoveBlocks& message) {
    if (message.epoch == epoch_) advance({message});
}

// Up to the first move that needs the disk, which then goes on.
void MemoryManagerState::advance(Job job) {
    for (; job.num_moved < job.wanted.moves.size(); ++job.num_moved) {
        const BlockMove& move = job.wanted.moves[job.num_moved];
        if (uses_disk(move)) {
            waiting_.push_back(std::move(job));
            transfer_next();
            return;
        }
        const TimeUs begin = options_.hooks.clock();
        if (!copy(move)) break;
        job.us += options_.hooks.clock() - begin;
    }
    finish(job);
}

void MemoryManagerState::finish(const Job& job) {
    if (job.wanted.epoch != epoch_) return;
    self_->send(scheduler_, MoveDone{job.wanted.epoch, job.wanted.job, job.num_moved, job.us});
}

bool MemoryManagerState::copy(const BlockMove& move) {
    if (move.to.tier == Tier::host) {
        if (!host_.has(move.to.slot) || !read(move.from, host_.open(move.to.slot))) return false;
        host_.seal(move.to.slot);
        return true;
    }
    const auto page = move.from.tier == Tier::host ? host_page(move.from.slot) : std::span<const std::byte>{};
    return !page.empty() && write(move.to, page);
}

// Hands the disk the first of the moves that wait for it, unless it is at one.
void MemoryManagerState::transfer_next() {
    while (!transferring_ && !waiting_.empty()) {
        Job job = std::move(waiting_.front());
        waiting_.pop_front();
        if (job.wanted.epoch != epoch_) continue;
        const TimeUs begin = options_.hooks.clock();
        const BlockMove& move = job.wanted.moves[job.num_moved];
        const bool writes = move.to.tier == Tier::disk;
        auto page = std::make_shared<std::vector<std::byte>>(pool_->bytes_per_block());
        if (!disk_ || (writes && !read(move.from, *page))) {
            finish(job);
            continue;
        }
        transferring_ = true;
        const DiskTransfer message{writes ? move.to.slot : move.from.slot, writes};
        self_->request(disk_, disk_patience, message, PageHandle{page})
            .then(
                [this, job, page, begin](const DiskTransferred& answer) mutable {
                    job.us += options_.hooks.clock() - begin;
                    transferring_ = false;
                    transferred(std::move(job), *page, answer);
                    transfer_next();
                },
                [this, job](const caf::error& error) {
                    transferring_ = false;
                    lose_disk(error == caf::sec::request_timeout
                                  ? "it took longer than " + std::to_string(disk_patience.count()) +
                                        " s for a page"
                                  : caf::to_string(error));
                    finish(job);
                    transfer_next();
                });
    }
}

void MemoryManagerState::transferred(Job job, const std::vector<std::byte>& page,
                                     const DiskTransferred& answer) {
    if (job.wanted.epoch != epoch_) return;
    if (!answer.ok) {
        warn(answer.error.tag == "corrupted_page" ? warned_of_page_ : warned_of_tier_, answer.error.message);
        finish(job);
        return;
    }
    const BlockMove& move = job.wanted.moves[job.num_moved];
    if (move.from.tier == Tier::disk && !write(move.to, page)) {
        finish(job);
        return;
    }
    ++job.num_moved;
    if (std::chrono::microseconds(job.us) > job_patience && job.num_moved < job.wanted.moves.size()) {
        warn(warned_of_tier_, "the disk of " + options_.swap.directory + " is slow");
        finish(job);
        return;
    }
    advance(std::move(job));
}

void MemoryManagerState::lose_disk(const std::string& why) {
    if (!disk_) return;
    disk_ = nullptr;
    warn(warned_of_tier_, "the swap file in " + options_.swap.directory + " is given up: " + why);
}

std::span<const std::byte> MemoryManagerState::host_page(BlockId slot) {
    if (!host_.has(slot)) return {};
    const auto page = host_.read(slot);
    if (page.empty()) warn(warned_of_page_, "a page of host memory has changed while it lay there");
    return page;
}

bool MemoryManagerState::read(const BlockPlace& from, std::span<std::byte> bytes) {
    if (from.tier == Tier::device) {
        pool_->read_block(from.slot, bytes);
        return true;
    }
    const auto page = host_page(from.slot);
    std::copy(page.begin(), page.end(), bytes.begin());
    return !page.empty();
}

bool MemoryManagerState::write(const BlockPlace& to, std::span<const std::byte> bytes) {
    if (to.tier == Tier::device) {
        pool_->write_block(to.slot, bytes);
        return true;
    }
    if (to.tier != Tier::host || !host_.has(to.slot)) return false;
    std::copy(bytes.begin(), bytes.end(), host_.open(to.slot).begin());
    host_.seal(to.slot);
    return true;
}

void MemoryManagerState::warn(bool& warned, const std::string& what) {
    if (warned) return;
    warned = true;
    spdlog::warn("model {}: swap: {}; what is not there is computed again", options_.model, what);
}

MemoryManagerActor::behavior_type memory_manager(
    MemoryManagerActor::stateful_pointer<MemoryManagerState> self, MemoryManagerOptions options,
    PoolOwner owner, MoveReceiver scheduler) {
    exit_with_exceptions(self);
    give_way_to_compute(self);
    self->set_exit_handler([self](const caf::exit_msg& message) {
        if (self->state.is_disk(message.source)) {
            self->state.lose_disk("its actor died (" + caf::to_string(message.reason) + ")");
        } else {
            self->quit(message.reason);
        }
    });
    self->state.start(std::move(options), std::move(owner), std::move(scheduler));
    return {
        [self](const CreatePool& message) { self->state.create_pool(message.epoch); },
        [self](const MoveBlocks& message) { self->state.begin(message); },
    };
}

}  // namespace troupe
