// A toy model whose next token depends on every token before it and on nothing else, and a KV pool for it.
// What a position stores and what a row reads through its block table are hashes, so that any wrong, stale or
// overwritten block changes the tokens.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/forward_batch.hpp"
#include "core/sequence.hpp"
#include "core/step_plan.hpp"

namespace troupe::test {

constexpr std::uint32_t vocabulary = 40;

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
    std::uint64_t x = (a ^ (b + 0x9E3779B97F4A7C15ULL + (a << 6) + (a >> 2))) * 0xBF58476D1CE4E5B9ULL;
    return x ^ (x >> 29);
}

// As with dynamic rope scaling, KV depends on the prompt's length beyond a border. To be part of the salt.
inline std::uint32_t rope_of(std::uint32_t num_prompt_tokens) {
    return num_prompt_tokens > 12 ? num_prompt_tokens : 0;
}

// KV of a token: of itself, its position and the KV before it.
inline std::uint64_t kv_of(std::uint64_t before, TokenId token, std::uint64_t position, std::uint32_t rope) {
    return mix(mix(before, static_cast<std::uint64_t>(token) + 1), position + (std::uint64_t{rope} << 32));
}

// With penalties it looks at the tokens that came before, too.
inline TokenId draw(std::uint64_t attention, const SamplingRow& row) {
    for (const TokenId token : row.history) attention = mix(attention, static_cast<std::uint64_t>(token));
    attention = mix(attention, row.num_prompt_tokens);
    return static_cast<TokenId>(mix(mix(attention, row.params.seed), row.position) % vocabulary);
}

// The backend: executes ForwardBatches on a pool of hashes.
class FakeModel {
  public:
    FakeModel(std::uint32_t block_size, std::uint32_t num_blocks)
        : block_size_(block_size), pool_(std::size_t{block_size} * num_blocks, 0xDEAD) {}

    void copy_blocks(const std::vector<BlockCopy>& copies) {
        for (const BlockCopy& copy : copies) {
            for (std::uint32_t i = 0; i < block_size_; ++i)
                pool_[slot(copy.to, i)] = pool_[slot(copy.from, i)];
        }
    }

    using Block = std::vector<std::uint64_t>;
    Block read_block(BlockId block) const {
        return {pool_.begin() + static_cast<std::ptrdiff_t>(slot(block, 0)),
                pool_.begin() + static_cast<std::ptrdiff_t>(slot(block, 0) + block_size_)};
    }
    void write_block(BlockId block, const Block& content) {
        std::copy(content.begin(), content.end(),
                  pool_.begin() + static_cast<std::ptrdiff_t>(slot(block, 0)));
    }

    std::vector<TokenId> execute(const ForwardBatch& batch) {
        std::vector<TokenId> sampled;
        for (std::size_t row = 0; row + 1 < batch.query_start.size(); ++row) {
            const BlockId* table =
                &batch.block_tables[static_cast<std::size_t>(batch.block_table_start[row])];
            auto at = [&](std::uint64_t position) -> std::uint64_t& {
                return pool_[slot(table[position / block_size_],
                                  static_cast<std::uint32_t>(position % block_size_))];
            };
            for (auto t = static_cast<std::size_t>(batch.query_start[row]);
                 t < static_cast<std::size_t>(batch.query_start[row + 1]); ++t) {
                const auto position = static_cast<std::uint64_t>(batch.positions[t]);
                const std::uint64_t before = position == 0 ? 0 : at(position - 1);
                pool_[static_cast<std::size_t>(batch.slot_mapping[t])] =
                    kv_of(before, batch.input_ids[t], position,
                          rope_of(static_cast<std::uint32_t>(batch.prompt_lens[row])));
            }
            while (sampled.size() < batch.logits_rows.size() &&
                   batch.logits_rows[sampled.size()] < batch.query_start[row + 1] &&
                   batch.sampling[sampled.size()].given != no_token)
                sampled.push_back(batch.sampling[sampled.size()].given);
            const bool samples = sampled.size() < batch.logits_rows.size() &&
                                 batch.logits_rows[sampled.size()] == batch.query_start[row + 1] - 1;
            if (!samples) continue;
            std::uint64_t attention = 0;
            const auto context = static_cast<std::uint64_t>(batch.context_lens[row]);
            for (std::uint64_t position = 0; position < context; ++position)
                attention = mix(attention, at(position));
            sampled.push_back(draw(attention, batch.sampling[sampled.size()]));
        }
        return sampled;
    }

  private:
    std::size_t slot(BlockId block, std::uint32_t offset) const {
        return static_cast<std::size_t>(block) * block_size_ + offset;
    }
    std::uint32_t block_size_;
    std::vector<std::uint64_t> pool_;
};

// What the sequence generates alone and undisturbed, and why it ends.
struct Reference {
    std::vector<TokenId> generated;
    FinishReason reason = FinishReason::length;
};

inline Reference run_alone(const SequenceSpec& spec, const std::vector<TokenId>& end_tokens,
                           std::uint32_t max_model_len) {
    auto ends = [&](TokenId token) {
        for (TokenId end : spec.stop.stop_token_ids) {
            if (end == token) return true;
        }
        for (TokenId end : end_tokens) {
            if (end == token && !spec.stop.ignore_eos) return true;
        }
        return false;
    };
    Reference reference;
    std::uint64_t before = 0;
    std::uint64_t attention = 0;
    std::uint64_t position = 0;
    auto take = [&](TokenId token) {
        before = kv_of(before, token, position++, rope_of(spec.num_prompt_tokens));
        attention = mix(attention, before);
    };
    for (std::uint32_t i = 0; i < spec.num_prompt_tokens; ++i) take(spec.tokens[i]);
    while (reference.generated.size() < spec.stop.max_tokens && position < max_model_len) {
        SamplingRow row{spec.sampling, static_cast<std::uint32_t>(position), spec.num_prompt_tokens};
        if (spec.sampling.has_penalties()) {
            row.history.assign(spec.tokens.begin(), spec.tokens.begin() + spec.num_prompt_tokens);
            row.history.insert(row.history.end(), reference.generated.begin(), reference.generated.end());
        }
        const TokenId token = draw(attention, row);
        reference.generated.push_back(token);
        take(token);
        if (ends(token)) {
            reference.reason = FinishReason::stop;
            break;
        }
    }
    return reference;
}

}  // namespace troupe::test
