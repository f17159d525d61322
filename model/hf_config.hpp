// config.json and generation_config.json of a Hugging Face directory, as transformers 4 and 5 write them.
#pragma once
#include <string>
#include <string_view>

#include "core/status.hpp"
#include "model/model_spec.hpp"
#include "model/weights_builder.hpp"

namespace troupe {

struct HfConfig {
    ModelSpec spec;
    TensorNames names;  // of a layer; the others depend on the file, too
    bool tied_embeddings = false;
    WeightsRequest::Biases attention_biases = WeightsRequest::Biases::none;
    bool ffn_biases = false;
    bool sinks = false;
    bool expert_biases = false;
    ExpertLayout expert_layout = ExpertLayout::stacked;
    bool text_of_more = false;      // the text part of a model that also sees; its other tensors are left out
    GenerationDefaults generation;  // end tokens that config.json names
};

// `where` begins messages: the file's path.
Result<HfConfig> parse_hf_config(std::string_view json, const std::string& where);

// Overrides in `defaults` what generation_config.json says.
Status parse_generation_config(std::string_view json, const std::string& where, GenerationDefaults& defaults);

}  // namespace troupe
