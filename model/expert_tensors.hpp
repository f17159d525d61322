// A layer's mixture of experts out of any of the ways in which files hold one.
#pragma once
#include <cstdint>
#include <string>

#include "model/tensor_taker.hpp"
#include "model/weights_builder.hpp"

namespace troupe {

// Router, experts and shared expert of the layer whose tensors begin with `prefix`.
void take_moe(TensorTaker& taker, const WeightsRequest& request, const ModelSpec& spec,
              const std::string& prefix, LayerWeights& layer);

}  // namespace troupe
