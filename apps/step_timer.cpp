#include "apps/step_timer.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <stdexcept>

namespace troupe {
namespace {

constexpr TokenId highest_token = 997;  // any text will do; every vocabulary has some hundred tokens

template <class T>
T value_or_throw(Result<T> result) {
    if (!result) throw std::logic_error(result.error().message);
    return std::move(result).value();
}

}  // namespace

StepTimer::StepTimer(const BackendFactory& factory, std::uint32_t block_size)
    : block_size_(block_size),
      pool_(factory.make_pool()),
      backend_(factory.make_backend(pool_)),
      mirror_(block_size, static_cast<std::uint32_t>(pool_->num_blocks())) {
    num_blocks_ = static_cast<std::uint32_t>(pool_->num_blocks());
}

void StepTimer::fill(std::uint32_t blocks, std::uint32_t tokens_per_step) {
    // Sequences of one step each, on consecutive blocks.
    const std::uint32_t blocks_per_step = std::max(1U, tokens_per_step / block_size_);
    for (std::uint32_t first = 0; first < blocks; first += blocks_per_step) {
        StepPlan plan;
        plan.epoch = 1;
        plan.step = ++last_step_;
        plan.removed = std::move(known_);
        known_.clear();
        const std::uint32_t count = std::min(blocks_per_step, blocks - first);
        AddedSequence& added = plan.added.emplace_back();
        added.id = ++last_id_;
        added.tokens.assign(std::size_t{count} * block_size_ + 1, 1);
        added.num_prompt_tokens = count * block_size_ + 1;
        added.block_table.resize(count);
        std::iota(added.block_table.begin(), added.block_table.end(), static_cast<BlockId>(first));
        plan.rows.push_back({added.id, count * block_size_, RowKind::chunk});
        known_.push_back(added.id);
        backend_->execute(value_or_throw(mirror_.begin(plan)), output_);
        value_or_throw(mirror_.complete(output_.tokens, output_.logprobs));
    }
}

MeasuredStep StepTimer::time(const TimedRows& rows) {
    StepPlan plan;
    plan.epoch = 1;
    plan.step = ++last_step_;
    plan.removed = std::move(known_);
    known_.clear();
    MeasuredStep measured;
    const std::uint32_t end = rows.start + rows.tokens;
    const std::uint32_t blocks = (end + block_size_ - 1) / block_size_;
    for (std::uint32_t r = 0; r < rows.rows; ++r) {
        AddedSequence& added = plan.added.emplace_back();
        added.id = ++last_id_;
        added.tokens.resize(end + (rows.draws ? 0 : 1));
        for (std::size_t i = 0; i < added.tokens.size(); ++i)
            added.tokens[i] = static_cast<TokenId>((i * 31 + added.id * 7) % highest_token) % 250;
        added.num_prompt_tokens = end;
        added.num_computed_tokens = rows.start;
        added.sampling.temperature = 0;
        added.block_table.resize(blocks);
        std::iota(added.block_table.begin(), added.block_table.end(), static_cast<BlockId>(r * blocks));
        plan.rows.push_back({added.id, rows.tokens, rows.draws ? RowKind::sample : RowKind::chunk});
        known_.push_back(added.id);
        measured.features.add(plan.rows.back(), rows.start);
    }
    const auto begin = std::chrono::steady_clock::now();
    const ForwardBatch batch = value_or_throw(mirror_.begin(plan));
    backend_->execute(batch, output_);
    value_or_throw(mirror_.complete(output_.tokens, output_.logprobs));
    measured.us = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
    return measured;
}

}  // namespace troupe
