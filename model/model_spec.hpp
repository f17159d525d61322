// A model is data: these specs and a registry of tensors; the forward pass in transformer.hpp reads nothing
// else.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "model/tensor.hpp"

namespace troupe {

enum class RopeType : std::uint8_t { standard, linear, llama3 };

// Rotary position embedding (Su et al., 2021). Frequencies are computed once, in double, by rope.hpp.
struct RopeSpec {
    RopeType type = RopeType::standard;
    double theta = 10000.0;
    double factor = 1.0;                      // linear, llama3
    double low_freq_factor = 1.0;             // llama3
    double high_freq_factor = 4.0;            // llama3
    std::uint32_t original_max_position = 0;  // llama3
    bool interleaved = false;  // pairs (2i, 2i+1), as GGUF's llama files store q and k; else (i, i + d/2)
};

struct ModelSpec {
    std::string architecture;  // "llama"
    std::uint32_t num_layers = 0;
    std::uint32_t hidden_size = 0;
    std::uint32_t num_heads = 0;
    std::uint32_t num_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t intermediate_size = 0;
    std::uint32_t vocab_size = 0;
    std::uint32_t max_position = 0;  // context length
    float rms_norm_eps = 1e-5F;
    RopeSpec rope;
};

struct LayerWeights {
    Tensor attn_norm, q, k, v, o;
    Tensor q_bias, k_bias, v_bias, o_bias;  // absent in most llama models
    Tensor ffn_norm, gate, up, down;
};

// Read-only, shared by workers and their successors.
struct Weights {
    Tensor embedding;  // [vocab][hidden]
    std::vector<LayerWeights> layers;
    Tensor final_norm;
    Tensor lm_head;  // [vocab][hidden]; the embedding itself if tied
    std::vector<float>
        rope_factors;  // GGUF rope_freqs.weight: divisors of the frequencies, or empty [head_dim / 2]
    std::vector<std::shared_ptr<const void>> storage;  // the mapped files
    std::uint64_t content_hash = 0;  // of tensor names, types, shapes and sampled bytes: for numerics
};

// From generation_config.json or GGUF metadata.
struct GenerationDefaults {
    std::vector<TokenId> end_token_ids;
    float temperature = 1.0F;
    float top_p = 1.0F;
    float min_p = 0.0F;
    std::int32_t top_k = 0;
};

}  // namespace troupe
