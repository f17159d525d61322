// Configurations of models that people have, family by family: what is read out of them, and what is refused.
// Numbers are those of the published config.json files, shortened to what a specification depends on.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "model/hf_config.hpp"
#include "model/loader.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

HfConfig parsed(const std::string& json) {
    auto config = parse_hf_config(json, "config.json");
    if (!config) FAIL(config.error().message);
    return *config;
}

std::string refused(const std::string& json) {
    const auto config = parse_hf_config(json, "config.json");
    return config ? "parsed" : config.error().message;
}

std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

// How many layers slide, and which the first is.
std::size_t sliding(const ModelSpec& spec) {
    std::size_t count = 0;
    for (const LayerSpec& layer : spec.layers) count += layer.sliding_window != 0;
    return count;
}

}  // namespace

TEST_CASE("config.json as transformers 4 and 5 write it means the same") {
    std::size_t compared = 0;
    for (const auto& entry : fs::directory_iterator(fs::path(TROUPE_TEST_DATA) / "golden")) {
        if (!fs::exists(entry.path() / "config-4.json")) continue;
        INFO(entry.path().string());
        const HfConfig newer = parsed(text_of(entry.path() / "config.json"));
        const HfConfig older = parsed(text_of(entry.path() / "config-4.json"));
        CHECK(newer.spec == older.spec);
        CHECK(newer.tied_embeddings == older.tied_embeddings);
        CHECK(newer.attention_biases == older.attention_biases);
        CHECK(newer.generation.end_token_ids == older.generation.end_token_ids);
        ++compared;
    }
    CHECK(compared >= 18);
}

TEST_CASE("Both formats of a model make one specification") {
    for (const auto& entry : fs::directory_iterator(fs::path(TROUPE_TEST_DATA) / "golden")) {
        for (const auto& file : fs::directory_iterator(entry.path())) {
            if (file.path().extension() != ".gguf") continue;
            INFO(file.path().string());
            const auto hf = load_model(entry.path());
            const auto gguf = load_model(file.path());
            if (!hf) FAIL(hf.error().message);
            if (!gguf) FAIL(gguf.error().message);
            CHECK(hf->spec.norms == gguf->spec.norms);
            CHECK(hf->spec.qk_norm == gguf->spec.qk_norm);
            CHECK(hf->spec.activation == gguf->spec.activation);
            CHECK(hf->spec.layers == gguf->spec.layers);
            CHECK(hf->spec.moe == gguf->spec.moe);
            CHECK(hf->spec.ropes.size() == gguf->spec.ropes.size());
            CHECK(hf->spec.attention_softcap == gguf->spec.attention_softcap);
            CHECK(hf->spec.logits_multiplier == gguf->spec.logits_multiplier);
            CHECK(hf->generation.end_token_ids == gguf->generation.end_token_ids);
        }
    }
}

TEST_CASE("Llama 3.1 8B") {
    const HfConfig config = parsed(R"({"architectures": ["LlamaForCausalLM"], "attention_bias": false,
        "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "hidden_act": "silu",
        "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 131072, "mlp_bias": false,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
        "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 8.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
        "rope_theta": 500000.0, "tie_word_embeddings": false, "vocab_size": 128256})");
    CHECK(config.spec.ropes[0].type == RopeType::llama3);
    CHECK(config.spec.ropes[0].original_max_position == 8192);
    CHECK(config.spec.max_position == 131072);
    CHECK(config.generation.end_token_ids.size() == 3);
    CHECK(config.attention_biases == WeightsRequest::Biases::none);
}

TEST_CASE("Mistral 7B v0.3 has no window, v0.1 and Ministral 8B have one, and heads of their own size") {
    const std::string rest = R"("model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336,
        "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 32768,
        "max_position_embeddings": 32768, "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, )";
    CHECK(sliding(parsed("{" + rest + R"("sliding_window": null})").spec) == 0);
    const ModelSpec first = parsed("{" + rest + R"("sliding_window": 4096})").spec;
    CHECK(sliding(first) == 32);
    CHECK(first.layers[31].sliding_window == 4096);
    CHECK(first.head_dim == 128);
    const ModelSpec nemo = parsed(R"({"model_type": "mistral", "hidden_size": 5120, "head_dim": 128,
        "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 40,
        "num_key_value_heads": 8, "vocab_size": 131072, "sliding_window": null})")
                               .spec;
    CHECK(nemo.head_dim == 128);
}

TEST_CASE("Mixtral 8x7B") {
    const HfConfig config = parsed(R"({"model_type": "mixtral", "hidden_size": 4096,
        "intermediate_size": 14336, "max_position_embeddings": 32768, "num_attention_heads": 32,
        "num_experts_per_tok": 2, "num_hidden_layers": 32, "num_key_value_heads": 8, "num_local_experts": 8,
        "rms_norm_eps": 1e-05, "rope_theta": 1000000.0, "sliding_window": null, "vocab_size": 32000})");
    REQUIRE(config.spec.moe);
    CHECK(config.spec.moe->num_experts == 8);
    CHECK(config.spec.moe->intermediate_size == 14336);
    CHECK(config.spec.moe->normalize);
    CHECK(config.spec.layers[31].moe);
}

TEST_CASE("Qwen2.5 7B: a window that is switched off, biases of q, k and v") {
    const std::string rest = R"("model_type": "qwen2", "hidden_act": "silu", "hidden_size": 3584,
        "intermediate_size": 18944, "max_position_embeddings": 32768, "max_window_layers": 28,
        "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0, "sliding_window": 131072, "tie_word_embeddings": false, "vocab_size": 152064)";
    const HfConfig config = parsed("{" + rest + R"(, "use_sliding_window": false})");
    CHECK(sliding(config.spec) == 0);
    CHECK(config.attention_biases == WeightsRequest::Biases::qkv);
    CHECK(config.spec.head_dim == 128);
    const std::string on = R"(, "use_sliding_window": true, "max_window_layers": 21})";
    std::string some = "{" + rest + on;
    some.erase(some.find("\"max_window_layers\": 28,"), 24);
    const ModelSpec windowed = parsed(some).spec;
    CHECK(sliding(windowed) == 7);
    CHECK(windowed.layers[20].sliding_window == 0);
    CHECK(windowed.layers[21].sliding_window == 131072);
    const ModelSpec longer = parsed("{" + rest + R"(, "rope_scaling": {"factor": 4.0,
        "original_max_position_embeddings": 32768, "type": "yarn"}})")
                                 .spec;
    CHECK(longer.ropes[0].type == RopeType::yarn);
    CHECK(longer.ropes[0].attention_factor == Approx(0.1 * std::log(4.0) + 1.0));
    CHECK(longer.max_position == 131072);
}

TEST_CASE("Qwen1.5-MoE-A2.7B") {
    const HfConfig config = parsed(R"({"model_type": "qwen2_moe", "decoder_sparse_step": 1,
        "hidden_size": 2048, "intermediate_size": 5632, "max_position_embeddings": 8192,
        "max_window_layers": 21, "moe_intermediate_size": 1408, "norm_topk_prob": false,
        "num_attention_heads": 16, "num_experts": 60, "num_experts_per_tok": 4, "num_hidden_layers": 24,
        "num_key_value_heads": 16, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
        "shared_expert_intermediate_size": 5632, "sliding_window": 32768, "use_sliding_window": false,
        "vocab_size": 151936})");
    REQUIRE(config.spec.moe);
    CHECK(config.spec.moe->shared_intermediate_size == 5632);
    CHECK(config.spec.moe->shared_gate);
    CHECK(!config.spec.moe->normalize);
    CHECK(config.attention_biases == WeightsRequest::Biases::qkv);
    CHECK(sliding(config.spec) == 0);
}

TEST_CASE("Qwen3 30B A3B, and layers without experts") {
    const std::string rest = R"("model_type": "qwen3_moe", "attention_bias": false, "head_dim": 128,
        "hidden_act": "silu", "hidden_size": 2048, "intermediate_size": 6144, "max_position_embeddings": 40960,
        "max_window_layers": 48, "moe_intermediate_size": 768, "norm_topk_prob": true,
        "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8, "num_hidden_layers": 48,
        "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 1000000.0,
        "sliding_window": null, "tie_word_embeddings": false, "use_sliding_window": false,
        "vocab_size": 151936, )";
    const ModelSpec spec = parsed("{" + rest + R"("decoder_sparse_step": 1, "mlp_only_layers": []})").spec;
    REQUIRE(spec.moe);
    CHECK(spec.moe->normalize);
    CHECK(spec.moe->num_experts == 128);
    CHECK(spec.qk_norm == QkNorm::per_head);
    CHECK(spec.layers[0].moe);
    const ModelSpec sparse = parsed("{" + rest + R"("decoder_sparse_step": 2, "mlp_only_layers": [3]})").spec;
    CHECK(!sparse.layers[0].moe);
    CHECK(sparse.layers[1].moe);
    CHECK(!sparse.layers[3].moe);
}

TEST_CASE("Gemma 2 9B and 27B") {
    const std::string rest = R"("model_type": "gemma2", "attention_bias": false,
        "attn_logit_softcapping": 50.0, "cache_implementation": "hybrid", "eos_token_id": 1,
        "final_logit_softcapping": 30.0, "head_dim": 256, "hidden_act": "gelu_pytorch_tanh",
        "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 8192,
        "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8, "rms_norm_eps": 1e-06,
        "rope_theta": 10000.0, "sliding_window": 4096, "vocab_size": 256000, )";
    const HfConfig config = parsed(
        "{" + rest + R"("hidden_size": 3584, "intermediate_size": 14336, "query_pre_attn_scalar": 256})");
    const ModelSpec& spec = config.spec;
    CHECK(config.tied_embeddings);
    CHECK(spec.attention_scale == 1.0F / 16.0F);
    CHECK(spec.attention_softcap == 50.0F);
    CHECK(spec.logits_softcap == 30.0F);
    CHECK(spec.embedding_multiplier == Approx(std::sqrt(3584.0)));
    CHECK(spec.norms == NormPlacement::pre_and_post);
    CHECK(spec.norm_offset == 1.0F);
    CHECK(spec.activation == Activation::gelu_tanh);
    CHECK(sliding(spec) == 21);
    CHECK(spec.layers[0].sliding_window == 4096);
    CHECK(spec.layers[1].sliding_window == 0);
    CHECK(parsed("{" + rest +
                 R"("hidden_size": 4608, "intermediate_size": 36864, "query_pre_attn_scalar": 144})")
              .spec.attention_scale == 1.0F / 12.0F);
}

TEST_CASE("Gemma 3 1B, and the text of 4B with all that its configuration leaves out") {
    const ModelSpec small = parsed(R"({"model_type": "gemma3_text", "attention_bias": false,
        "attn_logit_softcapping": null, "final_logit_softcapping": null, "eos_token_id": [1, 106],
        "head_dim": 256, "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 1152,
        "intermediate_size": 6912, "max_position_embeddings": 32768, "num_attention_heads": 4,
        "num_hidden_layers": 26, "num_key_value_heads": 1, "query_pre_attn_scalar": 256,
        "rms_norm_eps": 1e-06, "rope_local_base_freq": 10000, "rope_scaling": null, "rope_theta": 1000000,
        "sliding_window": 512, "sliding_window_pattern": 6, "vocab_size": 262144})")
                                .spec;
    CHECK(sliding(small) == 22);
    CHECK(small.layers[5].sliding_window == 0);
    CHECK(small.layers[5].rope == 0);
    CHECK(small.layers[4].rope == 1);
    CHECK(small.ropes[0].theta == 1e6);
    CHECK(small.ropes[1].theta == 1e4);
    CHECK(small.attention_softcap == 0.0F);

    const HfConfig more = parsed(R"({"architectures": ["Gemma3ForConditionalGeneration"],
        "boi_token_index": 255999, "eos_token_id": [1, 106], "model_type": "gemma3",
        "text_config": {"hidden_size": 2560, "intermediate_size": 10240, "model_type": "gemma3_text",
        "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024}, "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"}})");
    CHECK(more.text_of_more);
    CHECK(more.tied_embeddings);
    CHECK(more.generation.end_token_ids == std::vector<TokenId>{1, 106});
    CHECK(more.spec.num_heads == 8);
    CHECK(more.spec.num_kv_heads == 4);
    CHECK(more.spec.head_dim == 256);
    CHECK(more.spec.vocab_size == 262208);
    CHECK(more.spec.ropes[0].type == RopeType::linear);
    CHECK(more.spec.ropes[0].factor == 8.0);
    CHECK(more.spec.ropes[1].type == RopeType::standard);
}

TEST_CASE("Phi-3.5-mini") {
    std::string factors = "1.0";
    for (int i = 1; i < 48; ++i) factors += ", " + std::to_string(1.0 + i);
    const std::string json =
        R"({"model_type": "phi3", "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"},
        "attention_bias": false, "eos_token_id": 32000, "hidden_act": "silu", "hidden_size": 3072,
        "intermediate_size": 8192, "max_position_embeddings": 131072, "num_attention_heads": 32,
        "num_hidden_layers": 32, "num_key_value_heads": 32, "original_max_position_embeddings": 4096,
        "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "sliding_window": 262144, "vocab_size": 32064,
        "rope_scaling": {"type": "longrope", "long_factor": [)" +
        factors + R"(], "short_factor": [)" + factors + "]}}";
    const HfConfig config = parsed(json);
    const RopeSpec& rope = config.spec.ropes[0];
    CHECK(rope.type == RopeType::longrope);
    CHECK(rope.original_max_position == 4096);
    CHECK(rope.attention_factor == Approx(1.190238));
    CHECK(rope.divisors.size() == 48);
    CHECK(config.names.qkv != nullptr);
    CHECK(config.spec.max_position == 131072);
}

TEST_CASE("gpt-oss 20B") {
    std::string types;
    for (int i = 0; i < 24; ++i)
        types +=
            std::string(i == 0 ? "" : ", ") + (i % 2 == 0 ? "\"sliding_attention\"" : "\"full_attention\"");
    const std::string json = R"({"model_type": "gpt_oss", "attention_bias": true, "eos_token_id": 200002,
        "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
        "initial_context_length": 4096, "intermediate_size": 2880, "max_position_embeddings": 131072,
        "num_attention_heads": 64, "num_experts_per_tok": 4, "num_hidden_layers": 24, "num_key_value_heads": 8,
        "num_local_experts": 32, "quantization_config": {"modules_to_not_convert": ["lm_head"],
        "quant_method": "mxfp4"}, "rms_norm_eps": 1e-05, "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0,
        "factor": 32.0, "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false},
        "rope_theta": 150000, "sliding_window": 128, "swiglu_limit": 7.0, "vocab_size": 201088,
        "layer_types": [)" + types +
                             "]}";
    const HfConfig config = parsed(json);
    const ModelSpec& spec = config.spec;
    CHECK(config.sinks);
    CHECK(config.attention_biases == WeightsRequest::Biases::qkvo);
    CHECK(!spec.ropes[0].truncate);
    CHECK(spec.ropes[0].attention_factor == Approx(0.1 * std::log(32.0) + 1.0));
    CHECK(spec.layers[0].sliding_window == 128);
    CHECK(spec.layers[1].sliding_window == 0);
    CHECK(spec.moe->routing == MoeSpec::Routing::top_k_then_softmax);
    CHECK(spec.moe->activation == MoeSpec::Activation::clamped_swiglu);
    CHECK(spec.max_position == 131072);
}

TEST_CASE("OLMo 2 1B, Granite 3.1 2B and SmolLM3 3B") {
    const ModelSpec olmo = parsed(R"({"model_type": "olmo2", "hidden_act": "silu", "hidden_size": 2048,
        "intermediate_size": 8192, "max_position_embeddings": 4096, "num_attention_heads": 16,
        "num_hidden_layers": 16, "num_key_value_heads": 16, "rms_norm_eps": 1e-06, "rope_scaling": null,
        "rope_theta": 500000, "vocab_size": 100352})")
                               .spec;
    CHECK(olmo.norms == NormPlacement::post);
    CHECK(olmo.qk_norm == QkNorm::whole);

    const HfConfig granite = parsed(R"({"model_type": "granite", "attention_bias": false,
        "attention_multiplier": 0.015625, "embedding_multiplier": 12.0, "hidden_act": "silu",
        "hidden_size": 2048, "intermediate_size": 8192, "logits_scaling": 8.0,
        "max_position_embeddings": 131072, "mlp_bias": false, "num_attention_heads": 32,
        "num_hidden_layers": 40, "num_key_value_heads": 8, "residual_multiplier": 0.22, "rms_norm_eps": 1e-05,
        "rope_theta": 5000000.0, "tie_word_embeddings": true, "vocab_size": 49155})");
    CHECK(granite.spec.attention_scale == 0.015625F);
    CHECK(granite.spec.embedding_multiplier == 12.0F);
    CHECK(granite.spec.residual_multiplier == 0.22F);
    CHECK(granite.spec.logits_multiplier == 0.125F);

    const HfConfig smol = parsed(R"({"model_type": "smollm3", "attention_bias": false, "hidden_size": 2048,
        "intermediate_size": 11008, "max_position_embeddings": 65536, "max_window_layers": 28,
        "mlp_bias": false, "no_rope_layer_interval": 4, "num_attention_heads": 16, "num_hidden_layers": 36,
        "num_key_value_heads": 4, "rms_norm_eps": 1e-06, "rope_scaling": null, "rope_theta": 5000000.0,
        "sliding_window": null, "use_sliding_window": false, "vocab_size": 128256})");
    CHECK(smol.tied_embeddings);
    CHECK(smol.spec.layers[2].rope == 0);
    CHECK(smol.spec.layers[3].rope == LayerSpec::no_rope);
    CHECK(smol.spec.layers[35].rope == LayerSpec::no_rope);
}

TEST_CASE("What a family cannot do is refused by name") {
    const auto with = [](const std::string& model_type, const std::string& fields) {
        return refused(R"({"model_type": ")" + model_type + R"(", "num_hidden_layers": 4, "hidden_size": 64,
            "num_attention_heads": 4, "intermediate_size": 96, "vocab_size": 100, )" +
                       fields + "}");
    };
    CHECK(contains(with("qwen2_vl", R"("a": 1)"), "\"qwen2_vl\" is not known; known are llama"));
    CHECK(contains(with("gemma2", R"("hidden_activation": "gelu")"), "hidden_activation \"gelu\""));
    CHECK(contains(with("gemma3_text", R"("use_bidirectional_attention": true)"), "bidirectional"));
    CHECK(
        contains(with("gemma2", R"("layer_types": ["full_attention"])"), "names 1 layers, the model has 4"));
    CHECK(contains(with("qwen2", R"("layer_types": ["linear_attention", "full_attention", "full_attention",
        "full_attention"])"),
                   "layer type \"linear_attention\""));
    CHECK(contains(with("mixtral", R"("a": 1)"), "num_local_experts"));
    CHECK(contains(with("mixtral", R"("num_local_experts": 2, "num_experts_per_tok": 3)"),
                   "allowed are 1 to 2"));
    CHECK(
        contains(with("qwen3_moe", R"("num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32,
        "decoder_sparse_step": 0)"),
                 "decoder_sparse_step"));
    CHECK(contains(with("qwen3", R"("quantization_config": {"quant_method": "awq"})"), "\"awq\""));
    CHECK(contains(with("gpt_oss", R"("num_local_experts": 4)"), "rope_scaling"));
    CHECK(contains(
        with("phi3", R"("rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]})"),
        "1 factors"));
    CHECK(contains(with("phi3", R"("rope_scaling": {"type": "longrope", "short_factor": "x"})"),
                   "must be a list of numbers"));
    CHECK(contains(with("granite", R"("logits_scaling": 0)"), "logits_scaling"));
    CHECK(contains(with("smollm3", R"("no_rope_layers": [1, 0])"), "no_rope_layers"));
    CHECK(contains(with("gemma2", R"("query_pre_attn_scalar": 0)"), "query_pre_attn_scalar"));
    CHECK(contains(with("llama", R"("rope_scaling": {"rope_type": "yarn", "factor": 2, "beta_fast": 0})"),
                   "beta_fast"));
}

}  // namespace troupe
