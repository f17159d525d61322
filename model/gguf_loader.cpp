#include "model/gguf_loader.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "model/formats/gguf.hpp"
#include "model/formats/printable.hpp"
#include "model/weights_builder.hpp"

namespace troupe {
namespace {

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, "LLM" and "Standardized tensor names".
constexpr TensorNames gguf_names = {"token_embd.weight",
                                    "output_norm.weight",
                                    "output.weight",
                                    "blk.",
                                    "attn_norm",
                                    "attn_q",
                                    "attn_k",
                                    "attn_v",
                                    "attn_output",
                                    "ffn_norm",
                                    "ffn_gate",
                                    "ffn_up",
                                    "ffn_down"};

class GgufLoader {
  public:
    explicit GgufLoader(const GgufFile& file) : file_(file), where_(file.path().string()) {}

    Result<LoadedModel> load() {
        LoadedModel model;
        model.name = file_.path().stem().string();
        if (auto status = read_spec(model.spec); !status) return status.error();
        auto weights = read_weights(model.spec);
        if (!weights) return weights.error();
        model.weights = std::make_shared<const Weights>(std::move(*weights));
        if (auto status = read_end_tokens(model); !status) return status.error();
        if (const auto source = file_.get_string("tokenizer.chat_template")) model.chat_template = *source;
        if (file_.has("tokenizer.ggml.model")) {
            auto tokenizer = load_tokenizer(file_);
            if (!tokenizer) return tokenizer.error();
            model.tokenizer = std::move(*tokenizer);
        }
        return model;
    }

  private:
    Error fail(const std::string& what) const { return invalid_argument(where_ + ": " + what, "model"); }

    // Reads into `value`, or keeps the first failure.
    void read(std::uint32_t& value, const std::string& key, std::optional<std::uint32_t> fallback = {}) {
        if (!status_) return;
        const auto result = fallback ? file_.uint_or(key, *fallback) : file_.require_uint(key);
        if (!result) {
            status_ = result.error();
        } else if (*result > std::numeric_limits<std::uint32_t>::max()) {
            status_ = fail(key + " is " + std::to_string(*result) + ", which no model has.");
        } else {
            value = static_cast<std::uint32_t>(*result);
        }
    }
    void read(double& value, const std::string& key, double fallback) {
        if (!status_) return;
        const auto result = file_.float_or(key, fallback);
        if (!result) {
            status_ = result.error();
        } else {
            value = *result;
        }
    }

    Status read_spec(ModelSpec& spec) {
        const auto architecture = file_.require_string("general.architecture");
        if (!architecture) return architecture.error();
        if (*architecture != "llama") {
            return fail("architecture \"" + printable(*architecture) +
                        "\" is not known; known is \"llama\".");
        }
        spec.architecture = *architecture;
        const std::string prefix = spec.architecture + ".";
        read(spec.num_layers, prefix + "block_count");
        read(spec.hidden_size, prefix + "embedding_length");
        read(spec.intermediate_size, prefix + "feed_forward_length");
        read(spec.max_position, prefix + "context_length");
        read(spec.num_heads, prefix + "attention.head_count");
        if (!status_) return status_;
        read(spec.num_kv_heads, prefix + "attention.head_count_kv", spec.num_heads);
        read_head_dim(spec, prefix);
        double eps = 0.0;
        if (status_ && !file_.has(prefix + "attention.layer_norm_rms_epsilon")) {
            status_ = fail(prefix + "attention.layer_norm_rms_epsilon is missing.");
        }
        read(eps, prefix + "attention.layer_norm_rms_epsilon", eps);
        spec.rms_norm_eps = static_cast<float>(eps);
        if (status_) status_ = read_rope(spec, prefix);
        if (status_) status_ = refuse_experts(prefix);
        if (status_) status_ = read_rope_factors(spec);
        if (!status_) return status_;
        const GgufTensor* embedding = file_.find_tensor(gguf_names.embedding);
        if (!embedding || embedding->dims.size() != 2) {
            return fail("has no matrix token_embd.weight: it holds no model, perhaps only a vocabulary.");
        }
        if (embedding->dims[1] > std::numeric_limits<std::uint32_t>::max())
            return fail("the vocabulary is too large.");
        spec.vocab_size = static_cast<std::uint32_t>(embedding->dims[1]);
        spec.layers.assign(std::min(spec.num_layers, max_layers), LayerSpec());
        return check_spec(spec, where_);
    }

    void read_head_dim(ModelSpec& spec, const std::string& prefix) {
        if (!status_ || spec.num_heads == 0) return;  // check_spec() says so
        const std::uint32_t usual = spec.hidden_size / spec.num_heads;
        std::uint32_t value_length = 0;
        std::uint32_t rotated = 0;
        read(spec.head_dim, prefix + "attention.key_length", usual);
        read(value_length, prefix + "attention.value_length", spec.head_dim);
        read(rotated, prefix + "rope.dimension_count", spec.head_dim);
        if (!status_) return;
        if (value_length != spec.head_dim)
            status_ = fail("keys and values of different lengths are not supported.");
        if (rotated != spec.head_dim) {
            status_ = fail("rope.dimension_count is " + std::to_string(rotated) + ", the head dimension " +
                           std::to_string(spec.head_dim) + ": rotating a part of a head is not supported.");
        }
    }

    Status read_rope(ModelSpec& spec, const std::string& prefix) {
        spec.ropes[0].interleaved = true;
        read(spec.ropes[0].theta, prefix + "rope.freq_base", 10000.0);
        const auto type = file_.string_or(prefix + "rope.scaling.type", "linear");
        if (!type) return type.error();
        if (*type == "none") return status_;  // whatever the factor is
        if (*type != "linear") {
            return fail("rope scaling \"" + printable(*type) +
                        "\" is not known; known are \"none\" and \"linear\".");
        }
        double factor = 0.0;
        read(factor, prefix + "rope.scale_linear", factor);  // how old files say it
        read(factor, prefix + "rope.scaling.factor", factor);
        if (factor == 0.0 || factor == 1.0) return status_;  // 0: as good as absent
        spec.ropes[0].type = RopeType::linear;
        spec.ropes[0].factor = factor;
        return status_;
    }

    Status refuse_experts(const std::string& prefix) {
        std::uint32_t experts = 0;
        read(experts, prefix + "expert_count", 0);
        if (status_ && experts > 0) return fail("mixtures of experts are not supported.");
        return status_;
    }

    Result<Weights> read_weights(const ModelSpec& spec) {
        WeightsRequest request;
        request.where = where_;
        request.names = gguf_names;
        request.attention_biases = WeightsRequest::Biases::if_present;
        request.head = WeightsRequest::Head::own_if_present;
        request.find = [this](const std::string& name) -> std::optional<NamedTensor> {
            const GgufTensor* tensor = file_.find_tensor(name);
            if (!tensor) return std::nullopt;
            return NamedTensor{
                tensor->dtype, tensor->type_name, {tensor->dims.rbegin(), tensor->dims.rend()}, tensor->data};
        };
        for (const GgufTensor& tensor : file_.tensors()) request.all.push_back(tensor.name);
        request.leave_out = [](std::string_view name) {
            // The first is read below; the others hold what the rotary base says, in old files.
            return name == "rope_freqs.weight" || name.ends_with(".attn_rot_embd.weight");
        };
        auto weights = build_weights(spec, request);
        if (!weights) return weights;
        weights->storage.push_back(file_.storage());
        weights->mapped.push_back(file_.storage()->bytes());
        return weights;
    }

    // Divisors of the frequencies: how converters write llama3's scaling.
    Status read_rope_factors(ModelSpec& spec) {
        const GgufTensor* tensor = file_.find_tensor("rope_freqs.weight");
        if (!tensor) return {};
        if (tensor->dtype != DType::f32 || tensor->dims != std::vector<std::uint64_t>{spec.head_dim / 2}) {
            return fail("rope_freqs.weight must be F32 of half the head dimension.");
        }
        std::vector<float>& divisors = spec.ropes[0].divisors;
        divisors.resize(spec.head_dim / 2);
        dequantize_row({DType::f32, 1, spec.head_dim / 2, tensor->data}, 0, divisors.data());
        for (const float factor : divisors) {
            if (!(factor > 0.0F) || !std::isfinite(factor))
                return fail("rope_freqs.weight holds what is no divisor.");
        }
        return {};
    }

    // eot ends a turn, eom a message to a tool: a model that makes either waits for somebody else.
    Status read_end_tokens(LoadedModel& model) {
        for (const char* key :
             {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
            if (!file_.has(key)) continue;
            const auto id = file_.require_uint(key);
            if (!id) return id.error();
            if (*id >= model.spec.vocab_size)
                return fail(std::string(key) + " is outside of the vocabulary.");
            auto& ids = model.generation.end_token_ids;
            const auto token = static_cast<TokenId>(*id);
            if (std::find(ids.begin(), ids.end(), token) == ids.end()) ids.push_back(token);
        }
        return {};
    }

    const GgufFile& file_;
    std::string where_;
    Status status_;
};

}  // namespace

Result<LoadedModel> load_gguf(const std::filesystem::path& path) {
    auto file = GgufFile::open(path);
    if (!file) return file.error();
    return GgufLoader(*file).load();
}

}  // namespace troupe
