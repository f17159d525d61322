// Which experts a token goes to, and how much each counts: a function of the token's own router logits.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "model/model_spec.hpp"

namespace troupe {

struct ExpertChoice {
    std::uint32_t expert = 0;
    float weight = 0.0F;
};

// The experts_per_token largest of logits[num_experts], of equal ones those of lower index; ascending by
// expert. A NaN among the logits makes every weight NaN.
void route(const MoeSpec& spec, const float* logits, std::span<ExpertChoice> choices);

// The rows of a step put together by expert: row i is of token tokens[i], and expert e has the rows
// [begins[e], begins[e + 1]). A token's j-th choice is row rows[t * experts_per_token + j].
struct ExpertRows {
    std::vector<std::uint32_t> tokens, rows, begins;

    // choices: [tokens][experts_per_token]
    void group(const MoeSpec& spec, std::span<const ExpertChoice> choices);
};

}  // namespace troupe
