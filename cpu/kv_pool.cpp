#include "cpu/kv_pool.hpp"

#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>

namespace troupe {

namespace {

// Scales are floats, and what lies behind them must not break their alignment.
std::size_t aligned(std::size_t bytes) { return (bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float); }

std::size_t scale_bytes(KvType type, std::size_t tokens) {
    return type == KvType::int8 ? tokens * sizeof(float) : 0;
}

}  // namespace

const char* kv_type_name(KvType type) {
    switch (type) {
        case KvType::f32:
            return "f32";
        case KvType::f16:
            return "f16";
        case KvType::bf16:
            return "bf16";
        case KvType::int8:
            return "int8";
    }
    return "unknown";
}

std::size_t kv_element_bytes(KvType type) {
    if (type == KvType::f32) return 4;
    return type == KvType::int8 ? 1 : 2;
}

KvLayout::KvLayout(const ModelSpec& spec, KvType kv_type, std::size_t tokens_per_block)
    : type(kv_type),
      element_bytes(kv_element_bytes(kv_type)),
      block_size(tokens_per_block),
      head_dim(spec.head_dim),
      v_stride(padded_head_dim(spec.head_dim)),
      k_scales(aligned(head_dim * block_size * element_bytes)),
      v_scales(aligned(v_stride * block_size * element_bytes)),
      k_head_bytes(k_scales + scale_bytes(type, block_size)),
      v_head_bytes(v_scales + scale_bytes(type, block_size)),
      v_start(k_head_bytes * spec.num_kv_heads),
      layer_bytes(v_start + v_head_bytes * spec.num_kv_heads),
      block_bytes(layer_bytes * spec.num_layers) {}

CpuKvPool::CpuKvPool(const KvLayout& layout, std::size_t num_blocks)
    : layout_(layout), num_blocks_(num_blocks) {
    if (num_blocks > std::numeric_limits<std::size_t>::max() / layout.block_bytes) throw std::bad_alloc();
    data_ = memory_.allocate(num_blocks * layout.block_bytes);
}

void CpuKvPool::read_block(BlockId id, std::span<std::byte> bytes) const {
    check(id, bytes.size());
    std::memcpy(bytes.data(), data_ + static_cast<std::size_t>(id) * layout_.block_bytes, bytes.size());
}

void CpuKvPool::write_block(BlockId id, std::span<const std::byte> bytes) {
    check(id, bytes.size());
    std::memcpy(block(id), bytes.data(), bytes.size());
}

// Moves may come from another node: a wrong one must not reach the memory.
void CpuKvPool::check(BlockId id, std::size_t bytes) const {
    if (id < 0 || static_cast<std::size_t>(id) >= num_blocks_ || bytes != layout_.block_bytes)
        throw std::invalid_argument("KV pool: no such block");
}

}  // namespace troupe
