#include "cpu/routing.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "model/exp.hpp"

namespace troupe {
namespace {

// Fills `choices` with the experts of the largest logits, the largest first, in `weight` their logits.
void choose(std::span<const float> logits, std::span<ExpertChoice> choices) {
    std::size_t count = 0;
    for (std::uint32_t expert = 0; expert < logits.size(); ++expert) {
        const float logit = logits[expert];
        if (count == choices.size()) {
            if (!(logit > choices[count - 1].weight)) continue;
            --count;
        }
        std::size_t at = count++;
        for (; at > 0 && logit > choices[at - 1].weight; --at) choices[at] = choices[at - 1];
        choices[at] = {expert, logit};
    }
}

}  // namespace

void route(const MoeSpec& spec, const float* logits, std::span<ExpertChoice> choices) {
    const std::span<const float> all(logits, spec.num_experts);
    choose(all, choices);
    const float top = choices[0].weight;
    float sum = 0.0F;
    if (spec.routing == MoeSpec::Routing::softmax_then_top_k) {
        for (const float logit : all) sum += exp_f32(logit - top);
    } else {
        for (const ExpertChoice& choice : choices) sum += exp_f32(choice.weight - top);
    }
    float chosen = 0.0F;
    for (ExpertChoice& choice : choices) {
        choice.weight = exp_f32(choice.weight - top) / sum;
        chosen += choice.weight;
    }
    const bool spoilt = std::any_of(all.begin(), all.end(), [](float logit) { return logit != logit; });
    for (ExpertChoice& choice : choices) {
        if (spec.normalize) choice.weight /= chosen;
        if (spoilt) choice.weight = std::numeric_limits<float>::quiet_NaN();
    }
    std::sort(choices.begin(), choices.end(),
              [](const ExpertChoice& a, const ExpertChoice& b) { return a.expert < b.expert; });
}

void ExpertRows::group(const MoeSpec& spec, std::span<const ExpertChoice> choices) {
    begins.assign(spec.num_experts + 1, 0);
    for (const ExpertChoice& choice : choices) ++begins[choice.expert + 1];
    for (std::uint32_t expert = 0; expert < spec.num_experts; ++expert) begins[expert + 1] += begins[expert];
    tokens.resize(choices.size());
    rows.resize(choices.size());
    std::vector<std::uint32_t> next(begins.begin(), begins.end() - 1);
    for (std::size_t i = 0; i < choices.size(); ++i) {
        rows[i] = next[choices[i].expert]++;
        tokens[rows[i]] = static_cast<std::uint32_t>(i / spec.experts_per_token);
    }
}

}  // namespace troupe
