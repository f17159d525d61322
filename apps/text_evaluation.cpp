#include "apps/text_evaluation.hpp"

#include <algorithm>
#include <cmath>

#include "model/sequence_batch.hpp"

namespace troupe {
namespace {

constexpr std::size_t block_size = 16;
constexpr std::size_t max_logits = std::size_t{1} << 24;  // the backend holds no more at once

struct LogSoftmax {
    explicit LogSoftmax(std::span<const float> logits) {
        const auto top = std::max_element(logits.begin(), logits.end());
        choice = static_cast<std::size_t>(top - logits.begin());
        double sum = 0;
        for (const float x : logits) sum += std::exp(static_cast<double>(x) - *top);
        subtracted = *top + std::log(sum);
    }
    double of(float logit) const { return logit - subtracted; }

    std::size_t choice;
    double subtracted;
};

// What one position adds.
struct Row {
    double nll = 0, reference_nll = 0, kl = 0;
    bool same_top = false;
};

Row evaluate_row(std::span<const float> logits, const float* reference, TokenId next) {
    const auto token = static_cast<std::size_t>(next);
    const LogSoftmax q(logits);
    Row row;
    row.nll = -q.of(logits[token]);
    if (!reference) return row;
    const std::span<const float> exact(reference, logits.size());
    const LogSoftmax p(exact);
    row.reference_nll = -p.of(exact[token]);
    row.same_top = p.choice == q.choice;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const double log_p = p.of(exact[i]);
        row.kl += std::exp(log_p) * (log_p - q.of(logits[i]));
    }
    return row;
}

}  // namespace

Predictor::Predictor(std::shared_ptr<const CpuModel> model, std::shared_ptr<ComputePool> pool,
                     std::size_t tokens)
    : model_(std::move(model)) {
    const BackendFactory factory =
        make_cpu_backend_factory(model_, std::move(pool), blocks_for(tokens, block_size), block_size);
    backend_ = factory.make_backend(factory.make_pool());
}

std::size_t Predictor::most_rows() const { return std::max<std::size_t>(1, max_logits / vocab_size()); }

const float* Predictor::logits(std::span<const TokenId> ids, std::size_t first, std::size_t end) {
    ForwardBatch batch = sequence_batch(ids.first(end), computed_, block_size, {}, ids.size());
    batch.logits_rows.clear();
    for (std::size_t i = first; i < end; ++i)
        batch.logits_rows.push_back(static_cast<std::int32_t>(i - computed_));
    batch.sampling.resize(batch.logits_rows.size());
    for (SamplingRow& row : batch.sampling) row.given = 0;  // nothing is drawn
    backend_->execute(batch, output_);
    computed_ = end;
    return output_.logits;
}

double Evaluation::perplexity() const { return std::exp(nll / static_cast<double>(tokens)); }

double Evaluation::reference_perplexity() const {
    return std::exp(reference_nll / static_cast<double>(tokens));
}

double Evaluation::perplexity_error() const {
    const auto count = static_cast<double>(tokens);
    if (tokens < 2) return 0;
    const double variance = std::max(0.0, nll_squares / count - nll / count * (nll / count));
    return perplexity() * std::sqrt(variance / (count - 1));
}

Result<std::vector<std::vector<TokenId>>> text_chunks(const Tokenizer& tokenizer, const std::string& text,
                                                      std::size_t ctx_size, std::size_t most_chunks) {
    const auto ids = tokenizer.encode(text, {.parse_special = false, .add_special = true});
    if (!ids) return ids.error();
    if (ids->size() < ctx_size) {
        return invalid_argument("the text has " + std::to_string(ids->size()) +
                                    " tokens, less than one chunk of " + std::to_string(ctx_size) +
                                    "; give a longer one, or a smaller --ctx-size",
                                "--ctx-size");
    }
    const auto around = tokenizer.encode("", {.parse_special = false, .add_special = true});
    if (!around) return around.error();
    const auto bos = tokenizer.bos_id();
    const bool begins = bos && !around->empty() && around->front() == *bos;
    std::vector<std::vector<TokenId>> chunks;
    for (std::size_t at = 0; at + ctx_size <= ids->size(); at += ctx_size) {
        if (most_chunks != 0 && chunks.size() == most_chunks) break;
        const auto from = ids->begin() + static_cast<std::ptrdiff_t>(at);
        chunks.emplace_back(from, from + static_cast<std::ptrdiff_t>(ctx_size));
        if (begins) chunks.back().front() = *bos;
    }
    return chunks;
}

void evaluate_chunk(std::span<const TokenId> chunk, Predictor& model, Predictor* reference, ComputePool& pool,
                    Evaluation& sum) {
    const std::size_t half = chunk.size() / 2;
    const std::size_t last = chunk.size() - 1;  // what follows it is another chunk's
    const std::size_t vocab = model.vocab_size();
    model.begin();
    if (reference) reference->begin();
    for (std::size_t first = half; first < last;) {
        const std::size_t end = std::min(last, first + model.most_rows());
        const float* exact = reference ? reference->logits(chunk, first, end) : nullptr;
        const float* logits = model.logits(chunk, first, end);
        std::vector<Row> rows(end - first);
        pool.run(rows.size(), [&](std::size_t i, unsigned) {
            rows[i] = evaluate_row({logits + i * vocab, vocab}, exact ? exact + i * vocab : nullptr,
                                   chunk[first + i + 1]);
        });
        for (const Row& row : rows) {
            ++sum.tokens;
            sum.nll += row.nll;
            sum.nll_squares += row.nll * row.nll;
            sum.reference_nll += row.reference_nll;
            sum.kl += row.kl;
            sum.largest_kl = std::max(sum.largest_kl, row.kl);
            sum.same_top += row.same_top ? 1 : 0;
        }
        first = end;
    }
}

}  // namespace troupe
