// The CPU's paged KV memory. A block is contiguous, so that copies and transfers are one range of bytes:
// [layer][K of all KV heads, then V of all KV heads]; K of a head is [head_dim][block_size], so that a vector
// holds 16 tokens; V of a head is [block_size][padded head_dim]. Behind each of them, in int8, lie its
// tokens' scales, float [block_size].
#pragma once
#include <cstddef>
#include <span>

#include "core/ids.hpp"
#include "cpu/float_kernels.hpp"
#include "cpu/weight_arena.hpp"
#include "model/backend.hpp"
#include "model/model_spec.hpp"

namespace troupe {

const char* kv_type_name(KvType type);  // "f16"
std::size_t kv_element_bytes(KvType type);

struct KvLayout {
    KvLayout(const ModelSpec& spec, KvType kv_type, std::size_t tokens_per_block);

    KvType type;
    std::size_t element_bytes;
    std::size_t block_size;  // tokens
    std::size_t head_dim;
    std::size_t v_stride;            // elements of a token's V: head_dim padded to whole vectors
    std::size_t k_scales, v_scales;  // bytes from a head's K or V to its scales
    std::size_t k_head_bytes, v_head_bytes;
    std::size_t v_start;  // bytes from a layer's K to its V
    std::size_t layer_bytes;
    std::size_t block_bytes;
};

class CpuKvPool final : public KvPool {
  public:
    // Zeroed; memory is taken from the system page by page as blocks are first used, so that a large pool
    // costs no start-up time. Throws std::bad_alloc.
    CpuKvPool(const KvLayout& layout, std::size_t num_blocks);

    std::size_t num_blocks() const override { return num_blocks_; }
    std::size_t bytes_per_block() const override { return layout_.block_bytes; }
    void read_block(BlockId id, std::span<std::byte> bytes) const override;
    void write_block(BlockId id, std::span<const std::byte> bytes) override;
    const KvLayout& layout() const { return layout_; }

    std::byte* block(BlockId id) { return data_ + static_cast<std::size_t>(id) * layout_.block_bytes; }
    std::byte* k(BlockId id, std::size_t layer, std::size_t head) {
        return block(id) + layer * layout_.layer_bytes + head * layout_.k_head_bytes;
    }
    std::byte* v(BlockId id, std::size_t layer, std::size_t head) {
        return block(id) + layer * layout_.layer_bytes + layout_.v_start + head * layout_.v_head_bytes;
    }

  private:
    void check(BlockId id, std::size_t bytes) const;

    KvLayout layout_;
    std::size_t num_blocks_;
    WeightArena memory_;
    std::byte* data_;
};

}  // namespace troupe
