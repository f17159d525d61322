// What the loaders share: the checks of a model's dimensions, and the way from named tensors to Weights.
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

inline constexpr std::uint32_t max_layers = 1U << 12;  // far above any model there is

// Fails on dimensions that no model has or that do not go together. `where` begins the message.
Status check_spec(const ModelSpec& spec, const std::string& where);
// Fails on ids outside of the vocabulary and sampling values out of range.
Status check_generation(const GenerationDefaults& defaults, const ModelSpec& spec, const std::string& where);

struct NamedTensor {
    std::optional<DType> dtype;        // empty: a type that we do not compute with
    std::string_view type_name;        // for messages
    std::vector<std::uint64_t> shape;  // slowest first
    const std::byte* data = nullptr;
};

// How a format names its tensors: a layer's are layer_prefix, its index, ".", then the name, ".weight" or
// ".bias".
struct TensorNames {
    const char* embedding;
    const char* final_norm;
    const char* lm_head;
    const char* layer_prefix;
    const char *attn_norm, *q, *k, *v, *o;
    const char *ffn_norm, *gate, *up, *down;
};

struct WeightsRequest {
    std::string where;  // begins messages: the file or directory
    TensorNames names;
    std::function<std::optional<NamedTensor>(const std::string& name)> find;
    std::vector<std::string_view> all;                     // names of every tensor there is
    std::function<bool(std::string_view name)> leave_out;  // which of them a model does not need
    enum class Biases : std::uint8_t { none, required, if_present } attention_biases = Biases::none;
    enum class Head : std::uint8_t { own, tied, own_if_present } head = Head::own;
};

// Every tensor that the spec calls for, with its shape and type checked; content_hash, but not storage. Fails
// on a tensor with no place in the model, since whoever made the file computes with it.
Result<Weights> build_weights(const ModelSpec& spec, const WeightsRequest& request);

}  // namespace troupe
