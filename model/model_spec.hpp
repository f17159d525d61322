// A model is data: these specs and a registry of tensors; the forward pass in transformer.hpp reads nothing
// else. A family is a way to fill them in (hf_config.cpp, gguf_loader.cpp), never code of its own.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "model/tensor.hpp"

namespace troupe {

enum class RopeType : std::uint8_t { standard, linear, dynamic, llama3, yarn, longrope };

// Rotary position embedding (Su et al., 2021). Frequencies are computed once, in double, by rope.hpp.
struct RopeSpec {
    RopeType type = RopeType::standard;
    double theta = 10000.0;
    double factor = 1.0;                      // linear, dynamic, llama3, yarn
    double low_freq_factor = 1.0;             // llama3
    double high_freq_factor = 4.0;            // llama3
    std::uint32_t original_max_position = 0;  // all but standard and linear
    double beta_fast = 32.0;                  // yarn
    double beta_slow = 1.0;                   // yarn
    bool truncate = true;                     // yarn: the ramp between them ends at whole dimensions
    double attention_factor = 1.0;            // yarn, longrope: cosines and sines are multiplied by it
    std::uint32_t rotated = 0;                // the first dimensions of a head, which alone turn; 0: all
    bool interleaved =
        false;  // pairs (2i, 2i+1), as GGUF's llama files store q and k; else (i, i + rotated/2)
    // Of the frequencies [rotated / 2], or empty. longrope has a second list for sequences longer than
    // original_max_position.
    std::vector<float> divisors = {}, long_divisors = {};

    bool operator==(const RopeSpec&) const = default;
};

struct LayerSpec {
    static constexpr std::uint8_t no_rope = 0xFF;
    std::uint32_t sliding_window = 0;  // a query at p sees keys p - window + 1 to p; 0: all up to p
    std::uint8_t rope = 0;             // index into ModelSpec::ropes, or no_rope
    bool moe = false;                  // experts in place of gate, up and down

    bool operator==(const LayerSpec&) const = default;
};

// A mixture of experts: a router's logits choose some of the feed-forward networks for each token.
struct MoeSpec {
    enum class Routing : std::uint8_t { softmax_then_top_k, top_k_then_softmax };
    // silu(gate) * up; or gpt-oss's (min(up, limit) clamped below at -limit, + 1) * g * sigmoid(alpha * g)
    // with g = min(gate, limit)
    enum class Activation : std::uint8_t { silu, clamped_swiglu };
    std::uint32_t num_experts = 0;
    std::uint32_t experts_per_token = 0;
    std::uint32_t intermediate_size = 0;
    Routing routing = Routing::softmax_then_top_k;
    bool normalize = false;  // the chosen experts' weights are divided by their sum
    Activation activation = Activation::silu;
    float alpha = 1.702F;
    float limit = 7.0F;
    std::uint32_t shared_intermediate_size = 0;  // of an expert that every token goes through; 0: none
    bool shared_gate = false;                    // its output is multiplied by sigmoid(x . shared_gate)

    bool operator==(const MoeSpec&) const = default;
};

enum class Activation : std::uint8_t { silu, gelu_tanh };
// Where a layer has RMS norms: on what attention and feed-forward read, on what they write, or both.
enum class NormPlacement : std::uint8_t { pre, pre_and_post, post };
// RMS norms of queries and keys before rotation: of each head, or of the whole projection.
enum class QkNorm : std::uint8_t { none, per_head, whole };

struct ModelSpec {
    std::string architecture;  // as the file names it: "llama", "gemma3_text"
    std::uint32_t num_layers = 0;
    std::uint32_t hidden_size = 0;
    std::uint32_t num_heads = 0;
    std::uint32_t num_kv_heads = 0;
    std::uint32_t head_dim = 0;
    std::uint32_t intermediate_size = 0;  // of layers without experts
    std::uint32_t vocab_size = 0;
    std::uint32_t max_position = 0;  // context length
    float rms_norm_eps = 1e-5F;
    float norm_offset = 0.0F;  // added to the weights of all norms: Gemma's files hold w - 1
    NormPlacement norms = NormPlacement::pre;
    QkNorm qk_norm = QkNorm::none;
    Activation activation = Activation::silu;
    float attention_scale = 0.0F;  // of q . k; 0: 1 / sqrt(head_dim)
    float attention_softcap =
        0.0F;                     // scores become cap * tanh(score / cap), scaled but not yet masked; 0: none
    float logits_softcap = 0.0F;  // the same for logits
    float embedding_multiplier = 1.0F;  // of the embedded tokens
    float residual_multiplier = 1.0F;   // of what attention and feed-forward add to the hidden state
    float logits_multiplier = 1.0F;
    std::optional<MoeSpec> moe;
    std::vector<RopeSpec> ropes = {RopeSpec()};
    std::vector<LayerSpec> layers;  // [num_layers]

    bool operator==(const ModelSpec&) const = default;

    bool has_moe_layers() const {
        for (const LayerSpec& layer : layers)
            if (layer.moe) return true;
        return false;
    }
};

struct ExpertWeights {
    Tensor gate, up, down;
    Tensor gate_bias, up_bias, down_bias;  // all or none
};

// Absent tensors are those that the spec does not call for, and biases.
struct LayerWeights {
    Tensor attn_norm, q, k, v, o;
    Tensor q_bias, k_bias, v_bias, o_bias;
    Tensor q_norm, k_norm;  // [head_dim], or the whole projection's columns
    Tensor sinks;           // [num_heads]: a score that takes part in each head's softmax, but has no value
    Tensor attn_post_norm;
    Tensor ffn_norm, gate, up, down;
    Tensor gate_bias, up_bias, down_bias;
    Tensor router, router_bias;  // [num_experts][hidden], [num_experts]
    std::vector<ExpertWeights> experts;
    Tensor shared_gate_proj, shared_up, shared_down;
    Tensor shared_gate;  // [1][hidden]
    Tensor ffn_post_norm;
};

// Read-only, shared by workers and their successors.
struct Weights {
    Tensor embedding;  // [vocab][hidden]
    std::vector<LayerWeights> layers;
    Tensor final_norm;
    Tensor lm_head;  // [vocab][hidden]; the embedding itself if tied
    std::vector<std::shared_ptr<const void>>
        storage;  // the mapped files, and tensors that had to be rearranged
    std::vector<std::span<const std::byte>> mapped;  // the bytes of those files
    std::uint64_t content_hash = 0;  // of tensor names, types, shapes and sampled bytes: for numerics
};

// From generation_config.json or GGUF metadata.
struct GenerationDefaults {
    std::vector<TokenId> end_token_ids;
    float temperature = 1.0F;
    float top_p = 1.0F;
    float min_p = 0.0F;
    std::int32_t top_k = 0;
    float typical_p = 1.0F;
    float repetition_penalty = 1.0F;
};

}  // namespace troupe
