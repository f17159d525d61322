#include "cpu/backend.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace troupe {
namespace {

// Floats of logits that are held at once: a step may want them of each token of a prompt.
constexpr std::size_t max_logits = std::size_t{1} << 24;

}  // namespace

CpuBackend::CpuBackend(std::shared_ptr<const CpuModel> model, std::shared_ptr<CpuKvPool> cache,
                       std::shared_ptr<ComputePool> pool)
    : model_(std::move(model)),
      cache_(std::move(cache)),
      pool_(std::move(pool)),
      ops_(*model_, *cache_, *pool_),
      samplers_(pool_->num_threads()),
      logprobs_makers_(pool_->num_threads()) {}

void CpuBackend::execute(const ForwardBatch& batch, ForwardOutput& output) {
    check(batch);
    const auto turn = pool_->acquire();
    ops_.begin(batch);
    const std::size_t wanted = batch.logits_rows.size();
    output.tokens.resize(wanted);
    const bool logprobs = std::any_of(batch.sampling.begin(), batch.sampling.end(),
                                      [](const SamplingRow& row) { return row.params.logprobs >= 0; });
    output.logprobs.assign(logprobs ? wanted : 0, {});
    output.logits = nullptr;
    const std::size_t at_once = std::max<std::size_t>(max_logits / model_->spec().vocab_size, 1);
    const auto take = [&](std::size_t first, const CpuOps::Rows& logits) {
        if (logits.count == wanted) output.logits = logits.data;
        pool_->run(logits.count, [&](std::size_t row, unsigned thread) {
            draw({logits.row(row), logits.columns}, batch, first + row, thread, output);
        });
    };
    Forward(model_->spec(), model_->parameters(), batch, ops_).run(at_once, take);
}

void CpuBackend::draw(std::span<const float> logits, const ForwardBatch& batch, std::size_t row,
                      unsigned thread, ForwardOutput& output) {
    const SamplingRow& wish = batch.sampling[row];
    const TokenId token = wish.given != no_token ? wish.given : samplers_[thread].sample(logits, wish);
    output.tokens[row] = token;
    if (wish.params.logprobs < 0 || token == no_token) return;
    output.logprobs[row] =
        logprobs_makers_[thread].make(logits, token, static_cast<std::uint32_t>(wish.params.logprobs));
}

void CpuBackend::copy_blocks(std::span<const BlockCopy> copies) {
    const auto known = [&](BlockId id) {
        return id >= 0 && static_cast<std::size_t>(id) < cache_->num_blocks();
    };
    for (const BlockCopy& copy : copies) {
        if (!known(copy.from) || !known(copy.to)) throw std::invalid_argument("copy_blocks: no such block");
        if (copy.from == copy.to) continue;
        std::memcpy(cache_->block(copy.to), cache_->block(copy.from), cache_->bytes_per_block());
    }
}

// Plans may come from another node: a wrong one must not reach the kernels.
void CpuBackend::check(const ForwardBatch& batch) const {
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(std::string("ForwardBatch: ") + what);
    };
    const std::size_t tokens = batch.input_ids.size();
    const std::size_t rows = batch.context_lens.size();
    require(tokens > 0 && batch.positions.size() == tokens && batch.slot_mapping.size() == tokens,
            "input_ids, positions and slot_mapping differ in length, or are empty");
    require(batch.query_start.size() == rows + 1 && batch.block_table_start.size() == rows + 1,
            "query_start and block_table_start need one entry more than context_lens");
    require(batch.prompt_lens.empty() || batch.prompt_lens.size() == rows,
            "prompt_lens and context_lens differ in length");
    require(batch.sampling.size() == batch.logits_rows.size(), "sampling and logits_rows differ in length");
    for (const SamplingRow& row : batch.sampling) {
        require(row.given == no_token ||
                    (row.given >= 0 && static_cast<std::uint32_t>(row.given) < model_->spec().vocab_size),
                "a given token is outside of the vocabulary");
    }
    const std::size_t block_size = cache_->layout().block_size;
    const std::size_t slots = cache_->num_blocks() * block_size;
    for (std::size_t i = 0; i < tokens; ++i) {
        require(batch.input_ids[i] >= 0 &&
                    static_cast<std::uint32_t>(batch.input_ids[i]) < model_->spec().vocab_size,
                "a token id is outside of the vocabulary");
        require(batch.slot_mapping[i] >= 0 && static_cast<std::size_t>(batch.slot_mapping[i]) < slots,
                "a slot is outside of the KV pool");
    }
    require(batch.query_start[0] == 0 && static_cast<std::size_t>(batch.query_start[rows]) == tokens,
            "query_start does not cover the tokens");
    require(batch.block_table_start[0] == 0 &&
                static_cast<std::size_t>(batch.block_table_start[rows]) == batch.block_tables.size(),
            "block_table_start does not cover block_tables");
    for (std::size_t row = 0; row < rows; ++row) {
        const std::int32_t begin = batch.query_start[row];
        const std::int32_t end = batch.query_start[row + 1];
        const std::int32_t blocks = batch.block_table_start[row + 1] - batch.block_table_start[row];
        require(batch.prompt_lens.empty() || batch.prompt_lens[row] >= 0, "a prompt has a negative length");
        require(begin < end && static_cast<std::size_t>(end) <= tokens, "a row has no tokens");
        require(blocks >= 0 && batch.context_lens[row] > 0 &&
                    static_cast<std::size_t>(batch.context_lens[row]) <=
                        static_cast<std::size_t>(blocks) * block_size,
                "a block table is shorter than its context");
        for (std::int32_t i = begin; i < end; ++i) {
            require(batch.positions[i] == batch.context_lens[row] - (end - i) && batch.positions[i] >= 0,
                    "positions of a row do not end at its context length");
        }
    }
    for (const BlockId id : batch.block_tables) {
        require(id >= 0 && static_cast<std::size_t>(id) < cache_->num_blocks(), "no such block");
    }
    for (std::size_t i = 0; i < batch.logits_rows.size(); ++i) {
        const std::int32_t before = i == 0 ? -1 : batch.logits_rows[i - 1];
        require(batch.logits_rows[i] > before && static_cast<std::size_t>(batch.logits_rows[i]) < tokens,
                "logits_rows is not ascending or not within the tokens");
    }
}

std::size_t cpu_bytes_per_block(const ModelSpec& spec, KvType kv_type, std::size_t block_size) {
    return KvLayout(spec, kv_type, block_size).block_bytes;
}

BackendFactory make_cpu_backend_factory(std::shared_ptr<const CpuModel> model,
                                        std::shared_ptr<ComputePool> pool, std::size_t num_blocks,
                                        std::size_t block_size) {
    const KvLayout layout(model->spec(), model->kv_type(), block_size);
    return {[layout, num_blocks] { return std::make_shared<CpuKvPool>(layout, num_blocks); },
            [model, pool](std::shared_ptr<KvPool> cache) -> std::unique_ptr<Backend> {
                auto own = std::dynamic_pointer_cast<CpuKvPool>(std::move(cache));
                if (!own) throw std::invalid_argument("the KV pool was not made by this factory");
                return std::make_unique<CpuBackend>(model, std::move(own), pool);
            }};
}

}  // namespace troupe
