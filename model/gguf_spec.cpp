#include "model/gguf_spec.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/formats/printable.hpp"
#include "model/spec_check.hpp"

namespace troupe {
namespace {

// Keys as in https://github.com/ggml-org/llama.cpp/blob/master/gguf-py/gguf/constants.py. What files of an
// architecture do not say because llama.cpp has it in its code is in that architecture's function.
class SpecReader {
  public:
    explicit SpecReader(const GgufFile& file) : file_(file), where_(file.path().string()) {}

    Result<ModelSpec> read() {
        const auto name = file_.require_string("general.architecture");
        if (!name) return name.error();
        const auto family = std::find_if(std::begin(families), std::end(families),
                                         [&](const Family& known) { return *name == known.architecture; });
        if (family == std::end(families)) {
            std::string known;
            for (const Family& one : families)
                known += (known.empty() ? "" : ", ") + std::string(one.architecture);
            return error("architecture \"" + printable(*name) + "\" is not known; known are " + known + ".");
        }
        spec_.architecture = *name;
        prefix_ = spec_.architecture + ".";
        read_sizes();
        read_rope(spec_.ropes[0]);
        spec_.ropes[0].interleaved = family->interleaved;
        double number = 0.0;
        read(number, "attention.scale");
        spec_.attention_scale = static_cast<float>(number);
        if (status_) (this->*family->read)();
        refuse_what_is_not_supported();
        if (!status_) return status_.error();
        if (auto status = check_spec(spec_, where_); !status) return status.error();
        return std::move(spec_);
    }

  private:
    struct Family {
        const char* architecture;
        bool interleaved;  // rotary pairs side by side: its converter rearranges q and k
        void (SpecReader::*read)();
    };
    static const Family families[12];

    Error error(const std::string& what) const { return invalid_argument(where_ + ": " + what, "model"); }
    void fail(const std::string& what) {
        if (status_) status_ = error(what);
    }

    bool has(const char* key) const { return file_.has(prefix_ + key); }
    // Reads into `value` if the key is there, or keeps the first failure.
    void read(std::uint32_t& value, const char* key) {
        if (!status_) return;
        const auto result = file_.uint_or(prefix_ + key, value);
        if (!result) {
            status_ = result.error();
        } else if (*result > std::numeric_limits<std::uint32_t>::max()) {
            fail(prefix_ + key + " is " + std::to_string(*result) + ", which no model has.");
        } else {
            value = static_cast<std::uint32_t>(*result);
        }
    }
    void read(double& value, const char* key) {
        if (!status_) return;
        const auto result = file_.float_or(prefix_ + key, value);
        if (!result) {
            status_ = result.error();
        } else {
            value = *result;
        }
    }
    void read(float& value, const char* key) {
        double number = value;
        read(number, key);
        value = static_cast<float>(number);
    }
    template <class T>
    void require(T& value, const char* key) {
        if (!has(key)) return fail(prefix_ + key + " is missing.");
        read(value, key);
    }

    // Options that change what a model computes, in files of any architecture; 0 is as good as absent.
    void refuse_what_is_not_supported() {
        for (const char* key :
             {"attention.clamp_kqv", "attention.max_alibi_bias", "attention.temperature_scale",
              "attention.output_scale", "attention.shared_kv_layers", "rope.scaling.alpha",
              "rope.dimension_sections", "router_logit_softcapping", "expert_group_count",
              "expert_chunk_feed_forward_length", "nextn_predict_layers", "swin_norm"}) {
            const auto number = file_.get_float(prefix_ + key);
            const auto integer = file_.get_uint(prefix_ + key);
            if (has(key) && !(number && *number == 0.0) && !(integer && *integer == 0))
                fail(prefix_ + key + " is not supported.");
        }
        if (!file_.get_bool(prefix_ + "attention.causal").value_or(true))
            fail(prefix_ + "attention.causal is false: models that look ahead are not supported.");
        double extrapolation = 1.0;
        read(extrapolation, "rope.scaling.yarn_ext_factor");
        if (extrapolation != 1.0 && extrapolation != -1.0)  // -1: by the type
            fail(prefix_ + "rope.scaling.yarn_ext_factor is not supported.");
    }

    void read_sizes() {
        require(spec_.num_layers, "block_count");
        require(spec_.hidden_size, "embedding_length");
        require(spec_.max_position, "context_length");
        require(spec_.num_heads, "attention.head_count");
        require(spec_.rms_norm_eps, "attention.layer_norm_rms_epsilon");
        if (!has("expert_feed_forward_length")) require(spec_.intermediate_size, "feed_forward_length");
        read(spec_.intermediate_size, "feed_forward_length");  // of layers without experts, if there are any
        if (spec_.intermediate_size == 0) read(spec_.intermediate_size, "expert_feed_forward_length");
        spec_.num_kv_heads = spec_.num_heads;
        read(spec_.num_kv_heads, "attention.head_count_kv");
        read_head_dim();
        if (!status_) return;
        const GgufTensor* embedding = file_.find_tensor("token_embd.weight");
        if (!embedding || embedding->dims.size() != 2)
            return fail("has no matrix token_embd.weight: it holds no model, perhaps only a vocabulary.");
        if (embedding->dims[1] > std::numeric_limits<std::uint32_t>::max())
            return fail("the vocabulary is too large.");
        spec_.vocab_size = static_cast<std::uint32_t>(embedding->dims[1]);
        if (spec_.num_layers > max_layers) spec_.num_layers = 0;  // check_spec() says so
        spec_.layers.resize(spec_.num_layers);
    }

    void read_head_dim() {
        if (!status_ || spec_.num_heads == 0) return;  // check_spec() says so
        spec_.head_dim = spec_.hidden_size / spec_.num_heads;
        read(spec_.head_dim, "attention.key_length");
        std::uint32_t value_length = spec_.head_dim;
        read(value_length, "attention.value_length");
        if (value_length != spec_.head_dim) fail("keys and values of different lengths are not supported.");
        std::uint32_t rotated = spec_.head_dim;
        read(rotated, "rope.dimension_count");
        if (rotated != spec_.head_dim) spec_.ropes[0].rotated = rotated;
    }

    void read_rope(RopeSpec& rope) {
        read(rope.theta, "rope.freq_base");
        rope.original_max_position = spec_.max_position;
        read(rope.original_max_position, "rope.scaling.original_context_length");
        read_divisors("rope_freqs.weight", rope.divisors);
        if (!status_) return;
        const auto type = file_.string_or(prefix_ + "rope.scaling.type", "linear");
        if (!type) return fail(type.error().message);
        if (*type == "none") return;  // whatever the factor is
        double factor = 0.0;
        read(factor, "rope.scale_linear");  // how old files say it
        read(factor, "rope.scaling.factor");
        if (*type == "linear") {
            if (factor == 0.0 || factor == 1.0) return;  // 0: as good as absent
            rope.type = RopeType::linear;
        } else if (*type == "yarn") {
            rope.type = RopeType::yarn;
        } else if (*type != "longrope") {  // its factors are tensors
            return fail("rope scaling \"" + printable(*type) +
                        "\" is not known; known are \"none\", \"linear\", \"yarn\" and \"longrope\".");
        }
        if (factor != 0.0) rope.factor = factor;
        if (rope.type == RopeType::yarn) read_yarn(rope);
    }

    void read_yarn(RopeSpec& rope) {
        read(rope.beta_fast, "rope.scaling.yarn_beta_fast");
        read(rope.beta_slow, "rope.scaling.yarn_beta_slow");
        double by = 1.0;
        double more = 1.0;
        double log_multiplier = 0.0;
        read(by, "rope.scaling.attn_factor");
        read(more, "rope.scaling.yarn_attn_factor");
        read(log_multiplier, "rope.scaling.yarn_log_multiplier");
        if (log_multiplier != 0.0) fail("rope.scaling.yarn_log_multiplier is not supported.");
        rope.attention_factor = by * more * (rope.factor > 1.0 ? 0.1 * std::log(rope.factor) + 1.0 : 1.0);
    }

    // A tensor of the whole file; the checks of its numbers are check_spec()'s.
    void read_divisors(const char* name, std::vector<float>& divisors) {
        const GgufTensor* tensor = file_.find_tensor(name);
        if (!tensor || !status_) return;
        if (tensor->dtype != DType::f32 || tensor->dims.size() != 1 || tensor->dims[0] > spec_.head_dim / 2)
            return fail(std::string(name) + " must be F32, of at most half the head dimension.");
        divisors.resize(tensor->dims[0]);
        dequantize_row({DType::f32, 1, static_cast<std::uint32_t>(tensor->dims[0]), tensor->data}, 0,
                       divisors.data());
    }

    // sliding_window, if the file has it. Of `pattern` layers the last is full, unless the file says which
    // are.
    void read_windows(std::uint32_t window, std::uint32_t pattern) {
        read(window, "attention.sliding_window");
        std::optional<std::vector<std::int64_t>> slides =
            file_.get_ints(prefix_ + "attention.sliding_window_pattern");
        if (!slides) read(pattern, "attention.sliding_window_pattern");
        if (slides && slides->size() != spec_.layers.size())
            return fail(prefix_ + "attention.sliding_window_pattern has not one entry for each layer.");
        if (!status_ || window == 0) return;
        for (std::size_t i = 0; i < spec_.layers.size(); ++i) {
            const bool sliding =
                slides ? (*slides)[i] != 0 : pattern == 1 || (i + 1) % std::max(pattern, 1U) != 0;
            if (!sliding) continue;
            spec_.layers[i].sliding_window = window;
            if (spec_.ropes.size() > 1) spec_.layers[i].rope = 1;
        }
    }

    // Layers with a router have experts.
    void read_experts(bool normalize) {
        MoeSpec moe;
        read(moe.num_experts, "expert_count");
        if (moe.num_experts == 0) return;
        require(moe.experts_per_token, "expert_used_count");
        moe.intermediate_size = spec_.intermediate_size;
        read(moe.intermediate_size, "expert_feed_forward_length");
        moe.normalize = normalize;
        if (const auto said = file_.get_bool(prefix_ + "expert_weights_norm")) moe.normalize = *said;
        std::uint32_t gating = spec_.architecture == "gpt-oss" ? 3 : 1;
        read(gating, "expert_gating_func");
        if (gating != 1 && gating != 3) {
            return fail(prefix_ + "expert_gating_func " + std::to_string(gating) +
                        " is not supported; known are 1 (softmax) and 3 (softmax of the chosen).");
        }
        if (gating == 3) moe.routing = MoeSpec::Routing::top_k_then_softmax;
        double scale = 1.0;
        read(scale, "expert_weights_scale");
        if (scale != 1.0 && scale != 0.0) fail(prefix_ + "expert_weights_scale is not supported.");
        spec_.moe = moe;
        for (std::size_t i = 0; i < spec_.layers.size(); ++i)
            spec_.layers[i].moe =
                file_.find_tensor("blk." + std::to_string(i) + ".ffn_gate_inp.weight") != nullptr;
    }

    void llama() {
        read_windows(0, 1);
        read_experts(true);
    }
    void qwen2() {}
    void qwen3() { spec_.qk_norm = QkNorm::per_head; }
    void qwen2moe() {
        read_experts(false);
        if (!spec_.moe) return fail(prefix_ + "expert_count is missing.");
        spec_.moe->shared_intermediate_size = spec_.intermediate_size;
        read(spec_.moe->shared_intermediate_size, "expert_shared_feed_forward_length");
        spec_.moe->shared_gate = true;
    }
    void qwen3moe() {
        spec_.qk_norm = QkNorm::per_head;
        read_experts(true);
        if (!spec_.moe) fail(prefix_ + "expert_count is missing.");
    }

    // Norm weights are stored as they are used, unlike in Hugging Face's files.
    void gemma() {
        spec_.norms = NormPlacement::pre_and_post;
        spec_.activation = Activation::gelu_tanh;
        spec_.embedding_multiplier = std::sqrt(static_cast<float>(spec_.hidden_size));
    }
    // The 27B models divide scores by the root of hidden_size / heads, all others by that of head_dim.
    void scale_of_27b(std::uint32_t layers) {
        if (spec_.attention_scale != 0.0F || spec_.num_layers != layers || spec_.num_heads == 0) return;
        spec_.attention_scale = 1.0F / std::sqrt(static_cast<float>(spec_.hidden_size / spec_.num_heads));
    }
    void gemma2() {
        gemma();
        spec_.attention_softcap = 50.0F;
        spec_.logits_softcap = 30.0F;
        read(spec_.attention_softcap, "attn_logit_softcapping");
        read(spec_.logits_softcap, "final_logit_softcapping");
        read_windows(4096, 2);
        scale_of_27b(46);
    }
    void gemma3() {
        gemma();
        spec_.qk_norm = QkNorm::per_head;
        read(spec_.attention_softcap, "attn_logit_softcapping");
        read(spec_.logits_softcap, "final_logit_softcapping");
        RopeSpec local;
        read(local.theta, "rope.freq_base_swa");
        local.rotated = spec_.ropes[0].rotated;
        spec_.ropes.push_back(local);
        read_windows(0, 6);
        scale_of_27b(62);
    }

    void phi3() {
        read_windows(0, 1);
        RopeSpec& rope = spec_.ropes[0];
        read_divisors("rope_factors_short.weight", rope.divisors);
        read_divisors("rope_factors_long.weight", rope.long_divisors);
        if (rope.long_divisors.empty()) return;
        rope.type = RopeType::longrope;
        const double factor =
            static_cast<double>(spec_.max_position) / std::max(rope.original_max_position, 1U);
        if (factor > 1.0 && rope.original_max_position > 1)
            rope.attention_factor = std::sqrt(1.0 + std::log(factor) / std::log(rope.original_max_position));
        read(rope.attention_factor, "rope.scaling.attn_factor");
    }

    void gpt_oss() {
        spec_.ropes[0].truncate = false;
        read_windows(0, 2);
        read_experts(false);
        if (!spec_.moe) return fail(prefix_ + "expert_count is missing.");
        spec_.moe->activation = MoeSpec::Activation::clamped_swiglu;
    }

    void olmo2() {
        spec_.norms = NormPlacement::post;
        spec_.qk_norm = QkNorm::whole;
        read_windows(0, 4);  // of OLMo 3, which goes by the same name
    }

    void granite() {
        read(spec_.embedding_multiplier, "embedding_scale");
        read(spec_.residual_multiplier, "residual_scale");
        double divisor = 1.0;
        read(divisor, "logit_scale");
        if (divisor == 0.0) return fail(prefix_ + "logit_scale must not be 0.");
        spec_.logits_multiplier = static_cast<float>(1.0 / divisor);
    }

    void smollm3() {
        for (std::size_t i = 3; i < spec_.layers.size(); i += 4) spec_.layers[i].rope = LayerSpec::no_rope;
    }

    const GgufFile& file_;
    std::string where_;
    std::string prefix_;
    ModelSpec spec_;
    Status status_;
};

const SpecReader::Family SpecReader::families[12] = {
    {"llama", true, &SpecReader::llama},        {"qwen2", false, &SpecReader::qwen2},
    {"qwen2moe", false, &SpecReader::qwen2moe}, {"qwen3", false, &SpecReader::qwen3},
    {"qwen3moe", false, &SpecReader::qwen3moe}, {"gemma2", false, &SpecReader::gemma2},
    {"gemma3", false, &SpecReader::gemma3},     {"phi3", false, &SpecReader::phi3},
    {"gpt-oss", false, &SpecReader::gpt_oss},   {"olmo2", false, &SpecReader::olmo2},
    {"granite", true, &SpecReader::granite},    {"smollm3", true, &SpecReader::smollm3}};

}  // namespace

Result<ModelSpec> read_gguf_spec(const GgufFile& file) { return SpecReader(file).read(); }

}  // namespace troupe
