// A model's specification from the metadata of a GGUF file.
#pragma once
#include "core/status.hpp"
#include "model/formats/gguf.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// Checked (model/spec_check.hpp). Fails on an architecture or an option that is not known, naming it.
Result<ModelSpec> read_gguf_spec(const GgufFile& file);

}  // namespace troupe
