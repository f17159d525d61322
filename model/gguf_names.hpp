// How GGUF files name the tensors of a model.
#pragma once
#include <string>

#include "model/weights_builder.hpp"

namespace troupe {

TensorNames gguf_names(const std::string& architecture);

}  // namespace troupe
