// A GGUF file quantized anew: metadata as it is, matrices in another type.
#pragma once
#include "model/convert/gguf_plan.hpp"
#include "model/weight_types.hpp"

namespace troupe {

// Of any architecture, known or not. Vectors, norms and routers stay; so does what is in the wanted type.
// Fails on a matrix of a type that cannot be read, and on one file of several.
Result<GgufPlan> plan_from_gguf(const GgufFile& file, TypeChooser& types);

}  // namespace troupe
