// The rotary embeddings of a config.json: `rope_theta` and `rope_scaling` (transformers 4), `rope_parameters`
// (5), either for all layers or for full and sliding ones apart.
#pragma once
#include "model/json_reader.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// Fills in spec.ropes: one for all, or [0] of layers with full attention and [1] of those with a sliding
// window. On entry ropes[0], and [1] if there is one, hold the family's defaults. Errors go to the reader.
void read_hf_ropes(JsonReader& config, ModelSpec& spec);

}  // namespace troupe
