// How well a model predicts a text, and how far its predictions are from another's. The definition of
// perplexity is that of llama.cpp's program of the name: the text's tokens in chunks of ctx_size, one after
// the other, each chunk by itself; where the tokenizer begins texts with a token, that takes the place of
// each chunk's first. Tokens of a chunk's second half count, but for the first of them: exp of their mean
// negative log likelihood.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"
#include "cpu/backend.hpp"
#include "model/loader.hpp"

namespace troupe {

// A model on this CPU with a KV pool for one sequence of `tokens`.
class Predictor {
  public:
    Predictor(std::shared_ptr<const CpuModel> model, std::shared_ptr<ComputePool> pool, std::size_t tokens);

    // Computes the next tokens of ids, from where the last call ended (0: from the start) up to `end`, and
    // gives the logits [end - first][vocab] of those from `first` on, valid until the next call.
    // Precondition: no more than most_rows() of them.
    const float* logits(std::span<const TokenId> ids, std::size_t first, std::size_t end);
    void begin() { computed_ = 0; }
    std::size_t most_rows() const;
    std::size_t vocab_size() const { return model_->spec().vocab_size; }

  private:
    std::shared_ptr<const CpuModel> model_;
    std::unique_ptr<Backend> backend_;
    ForwardOutput output_;
    std::size_t computed_ = 0;
};

// Of all tokens that count.
struct Evaluation {
    std::size_t tokens = 0;
    double nll = 0, nll_squares = 0;  // sums
    // With a reference P: of the negative log likelihoods in P, of KL(P || Q), and of equal first choices.
    double reference_nll = 0;
    double kl = 0, largest_kl = 0;
    std::size_t same_top = 0;

    double perplexity() const;
    double perplexity_error() const;  // standard error
    double reference_perplexity() const;
    double mean_kl() const { return kl / static_cast<double>(tokens); }
    double top_agreement() const { return static_cast<double>(same_top) / static_cast<double>(tokens); }
};

// The text's chunks. Fails if there is not a whole one.
Result<std::vector<std::vector<TokenId>>> text_chunks(const Tokenizer& tokenizer, const std::string& text,
                                                      std::size_t ctx_size, std::size_t most_chunks);

// Adds one chunk; `reference` may be nullptr, else has the same vocabulary.
void evaluate_chunk(std::span<const TokenId> chunk, Predictor& model, Predictor* reference, ComputePool& pool,
                    Evaluation& sum);

}  // namespace troupe
