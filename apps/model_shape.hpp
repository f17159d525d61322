// A model's shape for planning and simulating, from its files or from its name; reads no weights.
#pragma once
#include <optional>
#include <string>

#include "core/status.hpp"
#include "engine/roofline.hpp"

namespace troupe {

struct ShapeWish {
    std::string model;                   // a GGUF file, a Hugging Face directory, or a known name
    std::optional<double> weight_bytes;  // of a parameter; without it as the files have it, 2 for a name
    std::optional<double> kv_bytes;      // of an element; without it 2
};

Result<ModelShape> find_model_shape(const ShapeWish& wish);

}  // namespace troupe
