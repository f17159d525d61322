// A backend whose "model" is a hash of the sequence's tokens, read back slot by slot from its pool: whatever
// is wrong with blocks, tables, positions or recovery changes the tokens.
#pragma once
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>

#include "core/forward_batch.hpp"
#include "model/backend.hpp"
#include "model/loader.hpp"
#include "tests/catch.hpp"

namespace troupe {

class FakePool final : public KvPool {
  public:
    FakePool(std::size_t blocks, std::size_t block_size)
        : block_size_(block_size), slots(blocks * block_size, -1) {}
    std::size_t num_blocks() const override { return slots.size() / block_size_; }
    std::size_t bytes_per_block() const override { return block_size_ * sizeof(TokenId); }
    void read_block(BlockId block, std::span<std::byte> bytes) const override {
        if (before_read) before_read();
        std::memcpy(bytes.data(), &slots.at(static_cast<std::size_t>(block) * block_size_), bytes.size());
    }
    void write_block(BlockId block, std::span<const std::byte> bytes) override {
        std::memcpy(&slots.at(static_cast<std::size_t>(block) * block_size_), bytes.data(), bytes.size());
    }

  private:
    std::size_t block_size_;

  public:
    std::vector<TokenId> slots;
    std::function<void()> before_read;  // of a block that is moved; may throw
};

class FakeBackend final : public Backend {
  public:
    static constexpr std::int32_t block_size = 4;
    using Hook = std::function<void(const ForwardBatch&)>;  // sees each step first; may throw

    FakeBackend(std::shared_ptr<KvPool> pool, Hook hook)
        : pool_(std::static_pointer_cast<FakePool>(std::move(pool))), hook_(std::move(hook)) {}

    void execute(const ForwardBatch& batch, ForwardOutput& output) override {
        if (hook_) hook_(batch);
        for (std::size_t t = 0; t < batch.input_ids.size(); ++t) {
            pool_->slots[static_cast<std::size_t>(batch.slot_mapping[t])] = batch.input_ids[t];
        }
        output.tokens.clear();
        output.logprobs.clear();
        for (std::size_t l = 0; l < batch.logits_rows.size(); ++l) {
            auto context = context_of(batch, batch.logits_rows[l]);
            const auto& row = batch.sampling[l];
            if (row.params.has_penalties() && row.history != context)
                throw std::logic_error("the tokens that penalties look at are not the sequence's");
            output.tokens.push_back(row.given != no_token ? row.given : next_token(context, row));
            output.logprobs.push_back(row.params.logprobs < 0
                                          ? PositionLogprobs{}
                                          : logprobs_of(context, output.tokens.back(), row.params.logprobs));
        }
    }
    void copy_blocks(std::span<const BlockCopy> copies) override {
        for (auto copy : copies) {
            std::copy_n(pool_->slots.begin() + copy.from * block_size, block_size,
                        pool_->slots.begin() + copy.to * block_size);
        }
    }
    const std::string& numerics() const override { return numerics_; }

    // Made of the tokens before, so that a wrong position shows.
    static PositionLogprobs logprobs_of(const std::vector<TokenId>& before, TokenId token, std::int32_t top) {
        PositionLogprobs made{{token, -1.0F - static_cast<float>(before.size())}, 1, {}};
        for (std::int32_t i = 0; i < top; ++i)
            made.top.push_back({before.back(), -static_cast<float>(i) - static_cast<float>(token) / 1024.0F});
        return made;
    }

    // What an undisturbed run generates after `tokens`.
    static std::vector<TokenId> expected(std::vector<TokenId> tokens, const SamplingParams& params,
                                         std::size_t count) {
        auto prompt = static_cast<std::ptrdiff_t>(tokens.size());
        for (std::size_t i = 0; i < count; ++i) {
            SamplingRow row{params, static_cast<std::uint32_t>(tokens.size())};
            tokens.push_back(next_token(tokens, row));
        }
        return {tokens.begin() + prompt, tokens.end()};
    }

  private:
    // Ids 100 .. 355: ordinary tokens of the test vocabulary, none of them special.
    static TokenId next_token(const std::vector<TokenId>& tokens, const SamplingRow& row) {
        std::uint64_t hash = row.params.seed * 31 + row.position + row.params.choice * 1009ULL;
        for (auto token : tokens) hash = (hash ^ static_cast<std::uint64_t>(token)) * 0x100000001B3ULL;
        return static_cast<TokenId>(100 + (hash >> 20) % 256);
    }

    std::vector<TokenId> context_of(const ForwardBatch& batch, std::int32_t t) const {
        std::size_t row = 0;
        while (batch.query_start[row + 1] <= t) ++row;
        std::vector<TokenId> tokens;
        for (std::int32_t p = 0; p <= batch.positions[static_cast<std::size_t>(t)]; ++p) {
            auto entry = batch.block_table_start[row] + p / block_size;
            auto block = batch.block_tables[static_cast<std::size_t>(entry)];
            tokens.push_back(pool_->slots[static_cast<std::size_t>(block * block_size + p % block_size)]);
        }
        return tokens;
    }

    std::shared_ptr<FakePool> pool_;
    Hook hook_;
    std::string numerics_ = "fake";
};

inline BackendFactory fake_backend(std::size_t blocks, FakeBackend::Hook hook = {}) {
    return {
        [=] { return std::make_shared<FakePool>(blocks, FakeBackend::block_size); },
        [=](std::shared_ptr<KvPool> pool) { return std::make_unique<FakeBackend>(std::move(pool), hook); }};
}

}  // namespace troupe
