// A device that executes forward passes over its own paged KV pool. Owned and called by one worker thread.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/forward_batch.hpp"
#include "core/status.hpp"
#include "core/step_plan.hpp"

namespace troupe {

struct ForwardOutput {
    std::vector<TokenId> tokens;    // [L] drawn for each of the batch's logits rows
    const float* logits = nullptr;  // [L][vocab_size], valid until the next execute()
};

class Backend {
  public:
    virtual ~Backend() = default;

    // Runs one step and draws its tokens. Throws on device failure: the worker actor dies and is restarted.
    virtual void execute(const ForwardBatch& batch, ForwardOutput& output) = 0;

    // Copies whole blocks within the pool, in order, before the next execute().
    virtual void copy_blocks(std::span<const BlockCopy> copies) = 0;

    // Everything that a token's bits depend on besides the request: weights, compute and KV type, kernel path,
    // parallel degree. A request continues only on a backend with an equal string.
    virtual const std::string& numerics() const = 0;
};

// Makes a backend with an empty pool (its size was fixed when the factory was made). Weights are shared: making another one is cheap.
using BackendFactory = std::function<std::unique_ptr<Backend>()>;

}  // namespace troupe
