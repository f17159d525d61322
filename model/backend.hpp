// A device that executes forward passes over its own paged KV pool. Owned and called by one worker thread.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/forward_batch.hpp"
#include "core/logprobs.hpp"
#include "core/status.hpp"
#include "core/step_plan.hpp"

namespace troupe {

struct ForwardOutput {
    std::vector<TokenId> tokens;  // [L] drawn for each of the batch's logits rows, or given; see no_token
    std::vector<PositionLogprobs> logprobs;  // [L] empty for rows that want none; [0] if no row wants any
    // [L][vocab_size], valid until the next execute(); null if they are too many to be held at once.
    const float* logits = nullptr;
};

class Backend {
  public:
    virtual ~Backend() = default;

    // Runs one step and draws its tokens. Throws on device failure: the worker actor dies and is restarted.
    virtual void execute(const ForwardBatch& batch, ForwardOutput& output) = 0;

    // Copies whole blocks within the pool, in order, before the next execute().
    virtual void copy_blocks(std::span<const BlockCopy> copies) = 0;

    // Everything that a token's bits depend on besides the request: weights, compute and KV type, kernel
    // path, parallel degree. A request continues only on a backend with an equal string.
    virtual const std::string& numerics() const = 0;
};

// A worker's KV memory: num_blocks blocks, each holding the KV of block_size tokens in every layer. Made by
// the memory manager actor, used by the worker's backend; a shared object, so that copies can run beside
// compute.
class KvPool {
  public:
    virtual ~KvPool() = default;
    virtual std::size_t num_blocks() const = 0;
    virtual std::size_t bytes_per_block() const = 0;

    // A whole block, all its layers, as [bytes_per_block] bytes out of the pool and into it. From any thread,
    // beside steps and copies that use other blocks. May throw on device failure.
    virtual void read_block(BlockId block, std::span<std::byte> bytes) const = 0;
    virtual void write_block(BlockId block, std::span<const std::byte> bytes) = 0;
};

// What apps hand to the actors. Both may be called again after a loss: weights and packed panels are shared
// and outlive workers, so a restart rebuilds only the KV pool. Both may throw.
struct BackendFactory {
    std::function<std::shared_ptr<KvPool>()> make_pool;  // may be slow (pinning memory)
    std::function<std::unique_ptr<Backend>(std::shared_ptr<KvPool>)> make_backend;
};

}  // namespace troupe
