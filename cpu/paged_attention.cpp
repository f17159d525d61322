#include "cpu/paged_attention.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace troupe {

PagedAttention::PagedAttention(const ModelSpec& spec, const FloatKernels& kernels, CpuKvPool& cache,
                               ComputePool& pool)
    : spec_(spec),
      kernels_(kernels),
      cache_(cache),
      pool_(pool),
      scale_(spec.attention_scale != 0.0F ? spec.attention_scale
                                          : 1.0F / std::sqrt(static_cast<float>(spec.head_dim))),
      gathered_(spec, cache.layout().type, attention_group),
      part_floats_(max_attention_rows * (2 + cache.layout().v_stride)),
      no_values_(cache.layout().v_stride),
      scratch_(pool.num_threads()) {
    for (const LayerSpec& layer : spec.layers) {
        constexpr std::int64_t none = std::int64_t{1} << 62;
        const std::int64_t size = layer.sliding_window != 0 ? std::int64_t{layer.sliding_window} : none;
        std::size_t index = 0;
        while (index < windows_.size() && windows_[index].size != size) ++index;
        if (index == windows_.size()) windows_.push_back({size, {}, {}});
        layer_windows_.push_back(index);
    }
    const KvLayout& layout = cache.layout();
    for (Scratch& scratch : scratch_) {
        scratch.q.resize(max_attention_rows * layout.head_dim);
        scratch.scores.resize(max_attention_rows * attention_piece);
        scratch.parts.resize(2 * part_floats_);
        if (layout.block_size % attention_group != 0) {
            scratch.gathered.resize(groups_per_piece * gathered_.k_head_bytes);
            scratch.gathered_v.resize(groups_per_piece * gathered_.v_head_bytes);
        }
    }
}

void PagedAttention::plan(const ForwardBatch& batch) {
    tiles_.clear();
    for (std::size_t row = 0; row < batch.context_lens.size(); ++row) add_tiles(batch, row);
    const std::size_t threads = pool_.num_threads();
    for (Window& window : windows_) {
        window.units.clear();
        window.first_units.clear();
        if (threads > 1 && tiles_.size() < 8 * threads) add_units(window);
    }
}

void PagedAttention::add_units(Window& window) {
    for (std::size_t tile = 0; tile < tiles_.size(); ++tile) {
        window.first_units.push_back(window.units.size());
        const std::size_t end = tiles_[tile].end_piece();
        for (std::size_t piece = window.first_piece(tiles_[tile].position); piece < end; ++piece)
            window.units.push_back({tile, piece});
    }
    if (window.units.size() == tiles_.size()) {  // one piece each: nothing to share out further
        window.units.clear();
        return;
    }
    const std::size_t floats = window.units.size() * part_floats_;
    if (unit_parts_.size() < floats) unit_parts_.resize(floats);
}

void PagedAttention::add_tiles(const ForwardBatch& batch, std::size_t row) {
    const std::size_t group = spec_.num_heads / spec_.num_kv_heads;
    const std::size_t parts = (group + max_attention_rows - 1) / max_attention_rows;  // of a large group
    const std::size_t queries = std::max<std::size_t>(1, max_attention_rows / group);
    const auto begin = static_cast<std::size_t>(batch.query_start[row]);
    const auto end = static_cast<std::size_t>(batch.query_start[row + 1]);
    const auto first_block = static_cast<std::size_t>(batch.block_table_start[row]);
    const auto last_block = static_cast<std::size_t>(batch.block_table_start[row + 1]);
    const std::span<const BlockId> table(batch.block_tables.data() + first_block, last_block - first_block);
    for (std::size_t token = begin; token < end; token += queries) {
        for (std::size_t kv_head = 0; kv_head < spec_.num_kv_heads; ++kv_head) {
            for (std::size_t part = 0; part < parts; ++part) {
                const std::size_t from = group * part / parts;
                const std::size_t to = group * (part + 1) / parts;
                tiles_.push_back({table, token, std::min(queries, end - token),
                                  static_cast<std::size_t>(batch.positions[token]), kv_head * group + from,
                                  to - from});
            }
        }
    }
}

PagedAttention::Part PagedAttention::part_at(std::vector<float>& memory, std::size_t index) const {
    float* start = memory.data() + index * part_floats_;
    return {start, start + max_attention_rows, start + 2 * max_attention_rows};
}

void PagedAttention::run(std::uint32_t layer, const float* q, std::size_t q_stride,
                         std::span<const float> sinks, float* out, std::size_t out_stride) {
    const Window& window = windows_[layer_windows_[layer]];
    const Run run{layer, window, q, q_stride, sinks, out, out_stride};
    if (window.units.empty()) {
        pool_.run(tiles_.size(), [&](std::size_t chunk, unsigned thread) {
            // Long contexts first: they end together.
            attend_tile(run, tiles_[tiles_.size() - 1 - chunk], scratch_[thread]);
        });
        return;
    }
    pool_.run(window.units.size(), [&](std::size_t chunk, unsigned thread) {
        const Unit& unit = window.units[chunk];
        attend_piece(run, tiles_[unit.tile], unit.piece, scratch_[thread], part_at(unit_parts_, chunk));
    });
    for (std::size_t index = 0; index < tiles_.size(); ++index) {
        const Tile& tile = tiles_[index];
        const std::size_t first = window.first_piece(tile.position);
        const Part whole = part_at(unit_parts_, window.first_units[index]);
        for (std::size_t piece = first + 1; piece < tile.end_piece(); ++piece) {
            merge(window, tile, piece, whole,
                  part_at(unit_parts_, window.first_units[index] + piece - first));
        }
        finish(run, tile, whole);
    }
}

void PagedAttention::attend_tile(const Run& run, const Tile& tile, Scratch& scratch) {
    const Part whole = part_at(scratch.parts, 0);
    const Part later = part_at(scratch.parts, 1);
    const std::size_t first = run.window.first_piece(tile.position);
    for (std::size_t piece = first; piece < tile.end_piece(); ++piece) {
        attend_piece(run, tile, piece, scratch, piece == first ? whole : later);
        if (piece > first) merge(run.window, tile, piece, whole, later);
    }
    finish(run, tile, whole);
}

// Queries of the tile that see nothing of the piece are left out: a tile may straddle the cut.
static std::size_t first_query_of(std::size_t position, std::size_t piece) {
    const std::size_t from = piece * attention_piece;
    return from > position ? from - position : 0;
}

void PagedAttention::attend_piece(const Run& run, const Tile& tile, std::size_t piece, Scratch& scratch,
                                  const Part& part) {
    const std::size_t head_dim = cache_.layout().head_dim;
    const std::size_t skipped = first_query_of(tile.position, piece);
    const std::size_t skipped_rows = skipped * tile.num_heads;
    const std::size_t position = tile.position + skipped;
    std::size_t end = tile.num_queries;  // the window of later queries may have left the piece
    while (run.window.first_piece(tile.position + end - 1) > piece) --end;
    AttentionPiece args;
    args.num_queries = end - skipped;
    args.heads = tile.num_heads;
    args.head_dim = head_dim;
    args.first = run.window.first(position) - static_cast<std::int64_t>(piece * attention_piece);
    args.visible = std::min(position + 1 - piece * attention_piece, attention_piece);
    args.softcap = spec_.attention_softcap;
    args.scores = scratch.scores.data();
    args.maximum = part.maximum + skipped_rows;
    args.sum = part.sum + skipped_rows;
    args.values = part.values + skipped_rows * cache_.layout().v_stride;

    const std::size_t rows = args.num_queries * args.heads;
    for (std::size_t row = 0; row < rows; ++row) {
        const float* from = run.q + (tile.token + skipped + row / args.heads) * run.q_stride +
                            (tile.first_head + row % args.heads) * head_dim;
        for (std::size_t d = 0; d < head_dim; ++d) scratch.q[d * rows + row] = from[d] * scale_;
    }
    args.q = scratch.q.data();
    const auto first_token = static_cast<std::size_t>(std::max<std::int64_t>(0, args.first));
    locate(run.layer, tile, piece, first_token,
           std::min(args.visible + args.num_queries - 1, attention_piece), scratch, args);
    kernels_.attend(cache_.layout().type, args);
}

// Where the K and V of each group of 16 tokens are.
void PagedAttention::locate(std::uint32_t layer, const Tile& tile, std::size_t piece, std::size_t first_token,
                            std::size_t end_token, Scratch& scratch, AttentionPiece& args) {
    const KvLayout& layout = cache_.layout();
    const std::size_t kv_head = tile.first_head / (spec_.num_heads / spec_.num_kv_heads);
    const bool in_place = layout.block_size % attention_group == 0;
    args.k_stride = in_place ? layout.block_size : attention_group;
    for (std::size_t start = first_token / attention_group * attention_group; start < end_token;
         start += attention_group) {
        const std::size_t position = piece * attention_piece + start;
        const std::size_t group = start / attention_group;
        if (in_place) {
            const BlockId block = tile.table[position / layout.block_size];
            const std::size_t offset = position % layout.block_size;
            const std::byte* k = cache_.k(block, layer, kv_head);
            const std::byte* v = cache_.v(block, layer, kv_head);
            args.k[group] = k + offset * layout.element_bytes;
            args.v[group] = v + offset * layout.v_stride * layout.element_bytes;
            args.k_scales[group] = reinterpret_cast<const float*>(k + layout.k_scales) + offset;
            args.v_scales[group] = reinterpret_cast<const float*>(v + layout.v_scales) + offset;
        } else {
            std::byte* k = scratch.gathered.data() + group * gathered_.k_head_bytes;
            std::byte* v = scratch.gathered_v.data() + group * gathered_.v_head_bytes;
            gather(layer, tile, position, std::min(attention_group, end_token - start), k, v);
            args.k[group] = k;
            args.v[group] = v;
            args.k_scales[group] = reinterpret_cast<const float*>(k + gathered_.k_scales);
            args.v_scales[group] = reinterpret_cast<const float*>(v + gathered_.v_scales);
        }
    }
}

// Copies K and V of `count` tokens into the layout of a block of 16.
void PagedAttention::gather(std::uint32_t layer, const Tile& tile, std::size_t first, std::size_t count,
                            std::byte* k, std::byte* v) {
    const KvLayout& layout = cache_.layout();
    const std::size_t kv_head = tile.first_head / (spec_.num_heads / spec_.num_kv_heads);
    const std::size_t bytes = layout.element_bytes;
    for (std::size_t i = 0; i < count; ++i) {
        const BlockId block = tile.table[(first + i) / layout.block_size];
        const std::size_t offset = (first + i) % layout.block_size;
        const std::byte* from = cache_.k(block, layer, kv_head) + offset * bytes;
        for (std::size_t d = 0; d < layout.head_dim; ++d) {
            std::memcpy(k + (d * attention_group + i) * bytes, from + d * layout.block_size * bytes, bytes);
        }
        std::memcpy(v + i * layout.v_stride * bytes,
                    cache_.v(block, layer, kv_head) + offset * layout.v_stride * bytes,
                    layout.v_stride * bytes);
        if (layout.type != KvType::int8) continue;
        const auto copy_scale = [&](const std::byte* scales, std::byte* to) {
            std::memcpy(to + i * sizeof(float), scales + offset * sizeof(float), sizeof(float));
        };
        copy_scale(cache_.k(block, layer, kv_head) + layout.k_scales, k + gathered_.k_scales);
        copy_scale(cache_.v(block, layer, kv_head) + layout.v_scales, v + gathered_.v_scales);
    }
}

void PagedAttention::merge(const Window& window, const Tile& tile, std::size_t piece, const Part& into,
                           const Part& later) const {
    const std::size_t width = cache_.layout().v_stride;
    for (std::size_t row = 0; row < tile.num_queries * tile.num_heads; ++row) {
        const std::size_t position = tile.position + row / tile.num_heads;
        const std::size_t first = window.first_piece(position);
        if (position / attention_piece < piece || first > piece) continue;  // sees nothing of it
        float* values = into.values + row * width;
        if (first == piece) {  // and nothing of those before
            into.maximum[row] = later.maximum[row];
            into.sum[row] = later.sum[row];
            std::memcpy(values, later.values + row * width, width * sizeof(float));
        } else {
            kernels_.merge(into.maximum + row, into.sum + row, values, later.maximum[row], later.sum[row],
                           later.values + row * width, width);
        }
    }
}

void PagedAttention::finish(const Run& run, const Tile& tile, const Part& part) const {
    const std::size_t head_dim = cache_.layout().head_dim;
    const std::size_t width = cache_.layout().v_stride;
    for (std::size_t row = 0; row < tile.num_queries * tile.num_heads; ++row) {
        const std::size_t head = tile.first_head + row % tile.num_heads;
        float* values = part.values + row * width;
        if (!run.sinks.empty()) {
            kernels_.merge(part.maximum + row, part.sum + row, values, run.sinks[head], 1.0F,
                           no_values_.data(), width);
        }
        kernels_.divide(values, part.sum[row], width);
        std::memcpy(run.out + (tile.token + row / tile.num_heads) * run.out_stride + head * head_dim, values,
                    head_dim * sizeof(float));
    }
}

}  // namespace troupe
