#include "model/convert/plan_from_model.hpp"

#include <array>

#include "model/convert/spec_metadata.hpp"
#include "model/convert/tokenizer_metadata.hpp"
#include "model/formats/gguf_types.hpp"
#include "model/gguf_form.hpp"
#include "model/gguf_names.hpp"

namespace troupe {
namespace {

class TensorLister {
  public:
    TensorLister(const LoadedModel& model, GgufPlan& plan)
        : spec_(model.spec),
          weights_(*model.weights),
          names_(gguf_names(model.spec.architecture)),
          plan_(plan) {}

    void list() {
        matrix(names_.embedding, {weights_.embedding});
        for (std::size_t i = 0; i < weights_.layers.size(); ++i) {
            prefix_ = names_.layer_prefix + std::to_string(i) + ".";
            list_layer(weights_.layers[i]);
        }
        vector(names_.final_norm, weights_.final_norm);
        if (weights_.lm_head.data != weights_.embedding.data) matrix(names_.lm_head, {weights_.lm_head});
        list_rope(spec_.ropes[0]);
    }

  private:
    void add(std::string name, std::vector<std::uint64_t> dims, std::vector<Tensor> parts) {
        const std::uint32_t type = gguf::tensor_type_of(parts.front().type()).id;
        plan_.tensors.push_back({std::move(name), std::move(dims), type, std::move(parts), {}});
    }
    // One below the other.
    void matrix(std::string name, std::vector<Tensor> parts) {
        if (!parts.front()) return;
        std::uint64_t rows = 0;
        for (const Tensor& part : parts) rows += part.rows;
        const std::uint64_t columns = parts.front().columns;
        add(std::move(name), {columns, rows}, std::move(parts));
    }
    void vector(std::string name, const Tensor& tensor) {
        if (tensor) add(std::move(name), {tensor.columns}, {tensor});
    }
    void norm(const char* name, const Tensor& tensor) {
        if (tensor) vector(prefix_ + name + ".weight", tensor);
    }
    void linear(const char* name, const Tensor& weight, const Tensor& bias) {
        if (!weight) return;
        matrix(prefix_ + name + ".weight", {weight});
        vector(prefix_ + name + ".bias", bias);
    }

    void list_layer(const LayerWeights& layer) {
        norm(names_.attn_norm, layer.attn_norm);
        const bool fused = spec_.architecture == "phi3";  // whose readers want it so
        if (fused) {
            matrix(prefix_ + names_.qkv + ".weight", {layer.q, layer.k, layer.v});
        } else {
            linear(names_.q, layer.q, layer.q_bias);
            linear(names_.k, layer.k, layer.k_bias);
            linear(names_.v, layer.v, layer.v_bias);
        }
        linear(names_.o, layer.o, layer.o_bias);
        norm(names_.q_norm, layer.q_norm);
        norm(names_.k_norm, layer.k_norm);
        if (layer.sinks) vector(prefix_ + names_.sinks, layer.sinks);
        norm(names_.attn_post_norm, layer.attn_post_norm);
        norm(names_.ffn_norm, layer.ffn_norm);
        if (fused) {
            matrix(prefix_ + names_.gate_up + ".weight", {layer.gate, layer.up});
        } else {
            linear(names_.gate, layer.gate, layer.gate_bias);
            linear(names_.up, layer.up, layer.up_bias);
        }
        linear(names_.down, layer.down, layer.down_bias);
        if (layer.router) list_experts(layer);
        norm(names_.ffn_post_norm, layer.ffn_post_norm);
    }

    void list_experts(const LayerWeights& layer) {
        linear(names_.router, layer.router, layer.router_bias);
        stack(names_.all_gate, layer, &ExpertWeights::gate, &ExpertWeights::gate_bias);
        stack(names_.all_up, layer, &ExpertWeights::up, &ExpertWeights::up_bias);
        stack(names_.all_down, layer, &ExpertWeights::down, &ExpertWeights::down_bias);
        linear(names_.shared_gate_proj, layer.shared_gate_proj, {});
        linear(names_.shared_up, layer.shared_up, {});
        linear(names_.shared_down, layer.shared_down, {});
        if (layer.shared_gate) vector(prefix_ + names_.shared_gate + ".weight", layer.shared_gate);
    }

    void stack(const char* name, const LayerWeights& layer, Tensor ExpertWeights::*weight,
               Tensor ExpertWeights::*bias) {
        std::vector<Tensor> weights, biases;
        for (const ExpertWeights& expert : layer.experts) {
            weights.push_back(expert.*weight);
            if (expert.*bias) biases.push_back(expert.*bias);
        }
        const std::uint64_t count = weights.size();
        const Tensor& one = layer.experts.front().*weight;
        add(prefix_ + name + ".weight", {one.columns, one.rows, count}, std::move(weights));
        if (!biases.empty()) add(prefix_ + name + ".bias", {one.rows, count}, std::move(biases));
    }

    void list_rope(const RopeSpec& rope) {
        if (rope.type == RopeType::longrope) {
            numbers("rope_factors_long.weight", rope.long_divisors);
            numbers("rope_factors_short.weight", rope.divisors);
        } else if (!rope.divisors.empty()) {
            numbers("rope_freqs.weight", rope.divisors);
        }
    }
    void numbers(const char* name, const std::vector<float>& values) {
        const auto kept = std::make_shared<const std::vector<float>>(values);
        plan_.storage.push_back(kept);
        const auto count = static_cast<std::uint32_t>(values.size());
        vector(name, {DType::f32, 1, count, reinterpret_cast<const std::byte*>(kept->data())});
    }

    const ModelSpec& spec_;
    const Weights& weights_;
    TensorNames names_;
    GgufPlan& plan_;
    std::string prefix_;
};

// The first end token is the one of texts, further ones end turns.
void set_end_tokens(GgufHead& head, const LoadedModel& model) {
    std::vector<TokenId> ends = model.generation.end_token_ids;
    const auto eos = model.tokenizer ? model.tokenizer->eos_id() : std::nullopt;
    if (eos) {
        std::erase(ends, *eos);
        ends.insert(ends.begin(), *eos);
    }
    constexpr std::array keys{"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                              "tokenizer.ggml.eom_token_id"};
    for (std::size_t i = 0; i < std::min(ends.size(), keys.size()); ++i)
        head.set(keys[i], static_cast<std::uint32_t>(ends[i]));
}

}  // namespace

Result<ModelPlan> plan_from_model(LoadedModel model, const std::filesystem::path& directory,
                                  TypeChooser& types) {
    auto form = as_gguf(std::move(model), types);
    if (!form) return form.error();
    const auto kept = std::make_shared<const LoadedModel>(*std::move(form));
    ModelPlan result;
    GgufPlan& plan = result.plan;
    plan.head.set("general.type", "model");
    plan.head.set("general.name", kept->name);
    set_file_type(plan.head, types.wanted());
    set_spec(plan.head, kept->spec);
    if (Status s = set_tokenizer(plan.head, *kept, directory); !s) return s.error();
    set_end_tokens(plan.head, *kept);
    if (kept->chat_template) plan.head.set("tokenizer.chat_template", *kept->chat_template);
    TensorLister(*kept, plan).list();
    plan.storage.push_back(kept);
    plan.mapped = kept->weights->mapped;
    plan.notes = types.notes();
    result.check = [kept](const std::filesystem::path& written) -> Status {
        auto file = GgufFile::open(written);
        if (!file) return file.error();
        if (Status s = check_spec_was_said(*file, kept->spec); !s) return s;
        return kept->tokenizer ? check_tokenizer(*file, *kept->tokenizer) : Status();
    };
    return result;
}

}  // namespace troupe
