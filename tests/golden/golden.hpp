// Runs a model file against answers computed by others (tests/golden/*.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <simdjson.h>

#include "cpu/backend.hpp"
#include "model/loader.hpp"
#include "model/sequence_batch.hpp"
#include "tests/catch.hpp"

namespace troupe::golden {

inline bool present(const std::filesystem::path& path) {
    std::error_code error;
    if (std::filesystem::exists(path, error)) return true;
    std::cout << "skipped: " << path.string() << " is not here\n";
    return false;
}

// Where scripts/fetch-model puts it.
inline std::filesystem::path default_model() {
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const std::filesystem::path base =
        cache && *cache ? std::filesystem::path(cache) : std::filesystem::path(home ? home : "") / ".cache";
    return base / "troupe/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

// A model with a KV pool of its own, for one sequence at a time.
class Runner {
  public:
    Runner(const std::filesystem::path& path, Compute compute, unsigned threads = 2)
        : Runner(load(path), compute, threads) {}

    Runner(LoadedModel loaded, Compute compute, unsigned threads = 2) : model(std::move(loaded)) {
        auto pool = std::make_shared<ComputePool>(threads);
        auto prepared = CpuModel::prepare(model.spec, model.weights, compute, *pool);
        const std::size_t blocks =
            blocks_for(std::min<std::size_t>(model.spec.max_position, 1024), block_size);
        auto cache =
            std::make_shared<CpuKvPool>(KvLayout(model.spec, prepared->kv_type(), block_size), blocks);
        backend = std::make_unique<CpuBackend>(prepared, cache, pool);
    }

    static LoadedModel load(const std::filesystem::path& path) {
        auto loaded = load_model(path);
        if (!loaded) FAIL(loaded.error().message);
        return std::move(*loaded);
    }

    // Logits of every position from `first` on, [ids.size() - first][vocab].
    std::vector<float> logits(std::span<const TokenId> ids, std::size_t first) {
        ForwardBatch batch = sequence_batch(ids, 0, block_size, {});
        batch.logits_rows.clear();
        for (std::size_t i = first; i < ids.size(); ++i)
            batch.logits_rows.push_back(static_cast<std::int32_t>(i));
        batch.sampling.resize(batch.logits_rows.size());
        ForwardOutput output;
        backend->execute(batch, output);
        return {output.logits, output.logits + batch.logits_rows.size() * model.spec.vocab_size};
    }

    // Greedy continuation, token by token.
    std::vector<TokenId> generate(std::vector<TokenId> ids, std::size_t count) {
        SamplingParams params;
        params.temperature = 0.0F;
        ForwardOutput output;
        std::size_t computed = 0;
        const std::size_t prompt = ids.size();
        std::vector<TokenId> generated;
        while (generated.size() < count) {
            backend->execute(sequence_batch(ids, computed, block_size, params, prompt), output);
            computed = ids.size();
            generated.push_back(output.tokens[0]);
            ids.push_back(output.tokens[0]);
        }
        return generated;
    }

    static constexpr std::size_t block_size = 16;
    LoadedModel model;
    std::unique_ptr<CpuBackend> backend;
};

template <class T>
std::vector<T> numbers(simdjson::dom::element list) {
    std::vector<T> values;
    for (const simdjson::dom::element value : list.get_array())
        values.push_back(static_cast<T>(value.get_double()));
    return values;
}

// max|a - b| / max|b|
inline double relative(std::span<const float> a, std::span<const double> b) {
    REQUIRE(a.size() == b.size());
    double difference = 0.0;
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = std::max(difference, std::abs(a[i] - b[i]));
        largest = std::max(largest, std::abs(b[i]));
    }
    return difference / largest;
}

// How many greedy ids count: up to the first whose margin over the next is below the limit.
inline std::size_t certain(std::span<const double> margins, double limit) {
    const auto end =
        std::find_if(margins.begin(), margins.end(), [&](double margin) { return margin < limit; });
    return static_cast<std::size_t>(end - margins.begin());
}

// Greedy ids of the positions from the last of `ids` on, given that those of `expected` were chosen before.
inline std::vector<TokenId> greedy_given(Runner& runner, std::vector<TokenId> ids,
                                         std::span<const TokenId> expected) {
    const std::size_t first = ids.size() - 1;
    ids.insert(ids.end(), expected.begin(), expected.end() - 1);
    const std::vector<float> logits = runner.logits(ids, first);
    const std::size_t vocab = runner.model.spec.vocab_size;
    std::vector<TokenId> chosen;
    for (std::size_t i = 0; i < expected.size(); ++i) chosen.push_back(greedy({&logits[i * vocab], vocab}));
    return chosen;
}

}  // namespace troupe::golden
