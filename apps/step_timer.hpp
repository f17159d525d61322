// Times steps on a backend, alone: no scheduler, no server.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/input_batch.hpp"
#include "engine/simulator/calibration.hpp"
#include "model/backend.hpp"

namespace troupe {

// So many equal rows: each of `tokens` new tokens after `start` that have KV.
struct TimedRows {
    std::uint32_t rows = 1;
    std::uint32_t start = 0;
    std::uint32_t tokens = 1;
    bool draws = false;
    std::uint32_t blocks(std::uint32_t block_size) const {
        return rows * ((start + tokens + block_size - 1) / block_size);
    }
};

class StepTimer {
  public:
    StepTimer(const BackendFactory& factory, std::uint32_t block_size);

    // Writes KV into the first `blocks` blocks, so that no step reads memory that was never written.
    void fill(std::uint32_t blocks, std::uint32_t tokens_per_step);
    // One step, its time as a worker would report it.
    MeasuredStep time(const TimedRows& rows);

    std::uint32_t num_blocks() const { return num_blocks_; }

  private:
    std::uint32_t block_size_, num_blocks_;
    std::shared_ptr<KvPool> pool_;
    std::unique_ptr<Backend> backend_;
    InputBatch mirror_;
    ForwardOutput output_;
    std::vector<SequenceId> known_;  // to the mirror
    SequenceId last_id_ = 0;
    StepId last_step_ = 0;
};

}  // namespace troupe
