// A model as its quantized GGUF file has it: `troupe quantize` writes that form, and --quantize computes with
// it, so that both give the same bits. Families whose rotary pairs GGUF keeps side by side get them so; norms
// have their offset in the weights; scalings of rotary embeddings are said as GGUF says them, in its
// precision.
#pragma once
#include "core/status.hpp"
#include "model/loader.hpp"
#include "model/weight_types.hpp"

namespace troupe {

// Of a model that load_model() gave. Matrices keep the mapped files' bytes and become the chosen types when
// their rows are read. Fails on families that GGUF has no architecture for, on what its files cannot say, and
// on models with quantized matrices (but gpt-oss's MXFP4 experts). The weights' hash tells the types apart.
Result<LoadedModel> as_gguf(LoadedModel model, TypeChooser& types);

}  // namespace troupe
