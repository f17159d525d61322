#include "policies/length_predictor.hpp"

#include <algorithm>
#include <bit>

namespace troupe {
namespace {

constexpr double fade = 0.99;
constexpr double enough = 8;               // observations, for a class to speak for itself
constexpr std::size_t max_classes = 4096;  // tenants beyond them are predicted from all

// 1 -> 0, 2 -> 2, 3 -> 3, 4 -> 4, 6 -> 5, 8 -> 6, ...
std::size_t bucket_of(std::uint32_t length) {
    const auto power = static_cast<std::size_t>(std::bit_width(length) - 1);
    const bool upper = power > 0 && ((length >> (power - 1)) & 1U) != 0;
    return 2 * power + (upper ? 1 : 0);
}

std::uint32_t prompt_class(std::uint32_t tokens) {
    return static_cast<std::uint32_t>(std::bit_width(tokens));
}

}  // namespace

void LengthPredictor::Class::observe(std::uint32_t length) {
    count *= fade;
    sum *= fade;
    for (Bucket& bucket : buckets) {
        bucket.count *= fade;
        bucket.sum *= fade;
    }
    Bucket& bucket = buckets[bucket_of(length)];
    for (auto [n, s] : {std::pair<double&, double&>{count, sum}, {bucket.count, bucket.sum}}) {
        n += 1;
        s += length;
    }
}

double LengthPredictor::Class::residual(std::uint32_t generated) const {
    if (generated == 0) return sum / count;
    double longer = 0;
    double tokens = 0;
    for (std::size_t i = bucket_of(generated); i < buckets.size(); ++i) {
        const Bucket& bucket = buckets[i];
        if (bucket.count <= 0 || bucket.sum <= bucket.count * generated) continue;
        longer += bucket.count;
        tokens += bucket.sum - bucket.count * generated;
    }
    // Longer than all before: as long again is the guess for lengths without a scale.
    return longer > 1e-9 ? tokens / longer : generated;
}

void LengthPredictor::observe(std::uint64_t tenant, std::uint32_t prompt_tokens,
                              std::uint32_t output_tokens) {
    if (output_tokens == 0) return;  // refused or cancelled before its first
    known_.fill({});
    const Key key{tenant, prompt_class(prompt_tokens)};
    if (classes_.size() < max_classes || classes_.count(key) > 0) classes_[key].observe(output_tokens);
    by_prompt_[key.second].observe(output_tokens);
    all_.observe(output_tokens);
}

const LengthPredictor::Class& LengthPredictor::class_of(std::uint64_t tenant,
                                                        std::uint32_t prompt_tokens) const {
    const std::uint32_t prompt = prompt_class(prompt_tokens);
    const Key key{tenant, prompt};
    Known& known = known_[(tenant + 7 * prompt) % known_.size()];
    if (known.of == nullptr || known.key != key) known = {key, &best_class(key)};
    return *known.of;
}

const LengthPredictor::Class& LengthPredictor::best_class(const Key& key) const {
    const std::uint32_t prompt = key.second;
    const auto own = classes_.find(key);
    if (own != classes_.end() && own->second.count >= enough * fade) return own->second;
    if (by_prompt_[prompt].count >= enough * fade) return by_prompt_[prompt];
    return all_;
}

double LengthPredictor::remaining(std::uint64_t tenant, std::uint32_t prompt_tokens, std::uint32_t generated,
                                  std::uint32_t max_tokens) const {
    const double most = max_tokens > generated ? max_tokens - generated : 1;
    const Class& observed = class_of(tenant, prompt_tokens);
    const double predicted = observed.count > 0 ? observed.residual(generated) : most / 2;
    return std::clamp(predicted, 1.0, most);
}

}  // namespace troupe
