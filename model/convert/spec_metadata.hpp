// A model's specification as GGUF metadata, in the keys that model/gguf_spec.cpp reads and llama.cpp's
// converter writes (https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py).
#pragma once
#include "core/status.hpp"
#include "model/formats/gguf_writer.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// `spec` in GGUF's form (as_gguf()).
void set_spec(GgufHead& head, const ModelSpec& spec);

// Whether the file says all of `spec`: what GGUF has no key for, a reader would get wrong in silence.
Status check_spec_was_said(const GgufFile& written, const ModelSpec& spec);

}  // namespace troupe
