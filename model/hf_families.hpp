// The families of Hugging Face's `model_type`: each fills in the specification and the names of its tensors.
#pragma once
#include <string>
#include <string_view>

#include "model/hf_config.hpp"
#include "model/json_reader.hpp"

namespace troupe {

// What a family's config.json may leave out, as transformers' configuration classes have it.
struct HfFamily {
    const char* model_type;
    double rope_theta;
    double rms_norm_eps;
    std::uint32_t max_position;
    bool tied_embeddings;
    std::uint32_t head_dim;  // 0: hidden_size / num_attention_heads
    const char* activation_field;
    // On entry all that is common to families is in config.spec, layers included.
    void (*read)(JsonReader& json, HfConfig& config);
};

const HfFamily* find_hf_family(std::string_view model_type);  // nullptr: not known
std::string known_hf_families();                              // for messages

}  // namespace troupe
