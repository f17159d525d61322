// config.json and generation_config.json of a Hugging Face directory, as transformers 4 and 5 write them.
#pragma once
#include <string>
#include <string_view>

#include "core/status.hpp"
#include "model/model_spec.hpp"

namespace troupe {

struct HfConfig {
    ModelSpec spec;
    bool tied_embeddings = false;
    bool attention_biases = false;
    GenerationDefaults generation;  // end tokens that config.json names
};

// `where` begins messages: the file's path.
Result<HfConfig> parse_hf_config(std::string_view json, const std::string& where);

// Overrides in `defaults` what generation_config.json says.
Status parse_generation_config(std::string_view json, const std::string& where, GenerationDefaults& defaults);

}  // namespace troupe
