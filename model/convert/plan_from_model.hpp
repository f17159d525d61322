// A Hugging Face directory as a quantized GGUF file, named and arranged as llama.cpp's converter does.
#pragma once
#include <filesystem>

#include "model/convert/gguf_plan.hpp"
#include "model/loader.hpp"
#include "model/weight_types.hpp"

namespace troupe {

struct ModelPlan {
    GgufPlan plan;
    // For write_gguf(): the written file says and tokenizes the same as the model.
    std::function<Status(const std::filesystem::path& written)> check;
};

// `model` as load_model() gave it for `directory`.
Result<ModelPlan> plan_from_model(LoadedModel model, const std::filesystem::path& directory,
                                  TypeChooser& types);

}  // namespace troupe
