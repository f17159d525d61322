// What the loaders share: the checks of a model's numbers, whoever wrote them.
#pragma once
#include <cstdint>
#include <string>

#include "core/status.hpp"
#include "model/model_spec.hpp"

namespace troupe {

inline constexpr std::uint32_t max_layers = 1U << 12;  // far above any model there is

// Fails on dimensions that no model has or that do not go together. `where` begins the message.
Status check_spec(const ModelSpec& spec, const std::string& where);
// Fails on ids outside of the vocabulary and sampling values out of range.
Status check_generation(const GenerationDefaults& defaults, const ModelSpec& spec, const std::string& where);

}  // namespace troupe
