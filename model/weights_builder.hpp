// The way from a file's named tensors to Weights, whatever the format and the family.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "model/model_spec.hpp"
#include "model/tensor.hpp"

namespace troupe {

struct NamedTensor {
    std::optional<DType> dtype;        // empty: a type that we do not compute with
    std::string_view type_name;        // for messages
    std::vector<std::uint64_t> shape;  // slowest first
    const std::byte* data = nullptr;
};

// How a format names its tensors. A layer's are layer_prefix, its index, ".", then the name, ".weight" or
// ".bias". nullptr: the format or family has no such tensor.
struct TensorNames {
    std::string embedding;
    std::string final_norm;
    std::string lm_head;
    std::string layer_prefix;
    const char* attn_norm = nullptr;
    const char *q = nullptr, *k = nullptr, *v = nullptr, *o = nullptr;
    const char* qkv = nullptr;  // all three, one below the other
    const char *q_norm = nullptr, *k_norm = nullptr;
    const char* sinks = nullptr;  // the whole name
    const char* attn_post_norm = nullptr;
    const char* ffn_norm = nullptr;
    const char *gate = nullptr, *up = nullptr, *down = nullptr;
    const char* gate_up = nullptr;  // both, gate first
    const char* ffn_post_norm = nullptr;
    const char* router = nullptr;
    const char* experts = nullptr;  // each by itself: this, ".", its index, ".", then the next three
    const char *expert_gate = nullptr, *expert_up = nullptr, *expert_down = nullptr;
    const char *all_gate = nullptr, *all_up = nullptr,
               *all_down = nullptr;                              // GGUF: [experts][outputs][inputs]
    const char *fused_gate_up = nullptr, *fused_down = nullptr;  // the whole names; see ExpertLayout
    const char *shared_gate_proj = nullptr, *shared_up = nullptr, *shared_down = nullptr;
    const char* shared_gate = nullptr;
};

// What the two fused tensors of a layer's experts hold.
enum class ExpertLayout : std::uint8_t {
    stacked,      // [experts][2 * inner][hidden], gate above up; [experts][hidden][inner]
    interleaved,  // gpt-oss: [experts][hidden][2 * inner], gate and up taking turns;
                  // [experts][inner][hidden]; or the same turned round as MXFP4 in two tensors, NAME_blocks
                  // and NAME_scales
};

struct WeightsRequest {
    std::string where;  // begins messages: the file or directory
    TensorNames names;
    std::function<std::optional<NamedTensor>(const std::string& name)> find;
    std::vector<std::string_view> all;                     // names of every tensor there is
    std::function<bool(std::string_view name)> leave_out;  // which of them a model does not need
    enum class Biases : std::uint8_t { none, qkv, qkvo, if_present } attention_biases = Biases::none;
    enum class FfnBiases : std::uint8_t { none, required, if_present } ffn_biases = FfnBiases::none;
    bool sinks = false;
    bool expert_biases = false;  // of router and experts
    ExpertLayout expert_layout = ExpertLayout::stacked;
    enum class Head : std::uint8_t { own, tied, own_if_present } head = Head::own;
};

// Every tensor that the spec calls for, with its shape and type checked; content_hash; in storage only what
// had to be rearranged. Fails on a tensor with no place in the model, since whoever made the file computes
// with it.
Result<Weights> build_weights(const ModelSpec& spec, const WeightsRequest& request);

}  // namespace troupe
