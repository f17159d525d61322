// Loads a model: a GGUF file, or a Hugging Face directory (config.json, *.safetensors, tokenizer.json).
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/status.hpp"
#include "model/model_spec.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe {

struct LoadedModel {
    std::string name;  // of the file, without .gguf, or of the directory
    ModelSpec spec;
    std::shared_ptr<const Weights> weights;
    GenerationDefaults generation;
    std::shared_ptr<const Tokenizer> tokenizer;  // nullptr: a directory without tokenizer.json
    std::optional<std::string> chat_template;    // Jinja source
    std::string bos_token, eos_token;            // as templates want them; empty if there is none
    bool is_gguf = false;                        // or a Hugging Face directory
    bool split_reasoning = true;                 // false: <think>...</think> is content like everything else
};

// Maps the weights and checks everything about them but their values; reads none of them, so it takes
// milliseconds. Fails on what is missing, malformed or not known, naming it.
Result<LoadedModel> load_model(const std::filesystem::path& path);

}  // namespace troupe
