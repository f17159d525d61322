// What loads, and what is refused with words that help.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>

#include <unistd.h>

#include "model/hf_config.hpp"
#include "model/loader.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/gguf_writer.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

// A directory that goes away with the test.
struct Folder {
    fs::path path = fs::temp_directory_path() / ("troupe-loader-" + std::to_string(::getpid()));
    Folder() {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    ~Folder() { fs::remove_all(path); }
    void write(const char* name, const std::string& text) const { std::ofstream(path / name) << text; }
};

const fs::path stories = fs::path(TROUPE_TEST_DATA) / "stories260k";

std::string error_of(const GgufWriter& file) {
    const Folder folder;
    file.write(folder.path / "m.gguf");
    const auto model = load_model(folder.path / "m.gguf");
    return model ? "loaded" : model.error().message;
}

std::string error_of_config(const std::string& fields) {
    const std::string base = R"("model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
        "num_attention_heads": 8, "intermediate_size": 96, "vocab_size": 100, )";
    const auto config = parse_hf_config("{" + base + fields + "}", "config.json");
    return config ? "parsed" : config.error().message;
}

ModelSpec spec_of_config(const std::string& fields) {
    const std::string base = R"("model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64,
        "num_attention_heads": 8, "intermediate_size": 96, "vocab_size": 100, )";
    const auto config = parse_hf_config("{" + base + fields + "}", "config.json");
    if (!config) FAIL(config.error().message);
    return config->spec;
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("A GGUF model loads with its dimensions, tied head and name") {
    const Folder folder;
    auto file = GgufWriter::tiny_llama();
    file.metadata["tokenizer.ggml.eos_token_id"] = 3U;
    file.metadata["tokenizer.ggml.eot_token_id"] = 5U;
    file.metadata["tokenizer.chat_template"] = "{{ messages }}";
    file.write(folder.path / "tiny.gguf");
    const auto model = load_model(folder.path / "tiny.gguf");
    if (!model) FAIL(model.error().message);
    CHECK(model->name == "tiny");
    CHECK(model->spec.vocab_size == 64);
    CHECK(model->spec.head_dim == 8);
    CHECK(model->spec.ropes[0].interleaved);
    CHECK(model->spec.ropes[0].theta == 10000.0);
    CHECK(model->weights->lm_head.data == model->weights->embedding.data);
    CHECK(model->weights->layers.size() == 2);
    CHECK(!model->weights->layers[0].q_bias);
    CHECK(model->generation.end_token_ids == std::vector<TokenId>{3, 5});
    CHECK(model->chat_template == "{{ messages }}");
    CHECK(!model->tokenizer);
}

TEST_CASE("GGUF: optional tensors and rope scaling are taken up") {
    const Folder folder;
    auto file = GgufWriter::tiny_llama();
    file.tensors["output.weight"] = {{32, 64}};
    file.tensors["blk.1.attn_q.bias"] = {{32}};
    file.tensors["rope_freqs.weight"] = {{4}};
    file.metadata["llama.rope.scaling.type"] = "linear";
    file.metadata["llama.rope.scaling.factor"] = 4.0F;
    file.write(folder.path / "tiny.gguf");
    const auto model = load_model(folder.path / "tiny.gguf");
    if (!model) FAIL(model.error().message);
    CHECK(model->weights->lm_head.data != model->weights->embedding.data);
    CHECK(!model->weights->layers[0].q_bias);
    CHECK(model->weights->layers[1].q_bias);
    CHECK(model->spec.ropes[0].divisors.size() == 4);
    CHECK(model->spec.ropes[0].type == RopeType::linear);
    CHECK(model->spec.ropes[0].factor == 4.0);
}

TEST_CASE("GGUF: a rope scaling factor counts unless the type says none") {
    const auto rope_of = [](std::map<std::string, GgufWriter::Value> metadata) {
        const Folder folder;
        auto file = GgufWriter::tiny_llama();
        file.metadata.merge(metadata);
        file.write(folder.path / "tiny.gguf");
        const auto model = load_model(folder.path / "tiny.gguf");
        if (!model) FAIL(model.error().message);
        return model->spec.ropes[0];
    };
    CHECK(rope_of({}).type == RopeType::standard);
    CHECK(rope_of({{"llama.rope.scaling.factor", 4.0F}}).type == RopeType::linear);
    CHECK(rope_of({{"llama.rope.scaling.factor", 4.0F}}).factor == 4.0);
    CHECK(rope_of({{"llama.rope.scale_linear", 2.0F}}).factor == 2.0);
    CHECK(rope_of({{"llama.rope.scale_linear", 2.0F}, {"llama.rope.scaling.factor", 4.0F}}).factor == 4.0);
    CHECK(rope_of({{"llama.rope.scaling.factor", 0.0F}}).factor == 1.0);
    CHECK(rope_of({{"llama.rope.scaling.type", "none"}, {"llama.rope.scale_linear", 2.0F}}).factor == 1.0);
}

TEST_CASE("GGUF files that lie or lack something are refused by name") {
    auto file = GgufWriter::tiny_llama();
    CHECK(error_of(file) == "loaded");
    const auto with = [&](const char* key, GgufWriter::Value value) {
        auto changed = file;
        changed.metadata[key] = std::move(value);
        return error_of(changed);
    };
    CHECK(contains(with("general.architecture", "gpt-neox"),
                   "\"gpt-neox\" is not known; known are llama, qwen2"));
    CHECK(contains(with("llama.rope.scaling.type", "ntk"), "\"ntk\" is not known"));
    CHECK(contains(with("llama.attention.head_count", 0U), "heads is 0"));
    CHECK(contains(with("llama.attention.head_count_kv", 3U), "no multiple of 3"));
    CHECK(contains(with("llama.attention.head_count", "four"), "llama.attention.head_count"));
    CHECK(contains(with("llama.block_count", 4000000000U), "number of layers"));
    CHECK(contains(with("llama.block_count", 3U), "blk.2.attn_norm.weight"));
    CHECK(contains(with("llama.feed_forward_length", 64U), "blk.0.ffn_gate.weight has shape [48, 32]"));
    CHECK(contains(with("llama.attention.layer_norm_rms_epsilon", std::numeric_limits<float>::quiet_NaN()),
                   "epsilon"));
    CHECK(contains(with("llama.attention.layer_norm_rms_epsilon", -1.0F), "epsilon"));
    CHECK(contains(with("llama.rope.dimension_count", 16U), "16 should be rotated"));
    CHECK(contains(with("llama.rope.freq_base", 0.0F), "rotary frequencies"));
    CHECK(contains(with("llama.expert_count", 8U), "llama.expert_used_count"));
    CHECK(contains(with("llama.attention.clamp_kqv", 8.0F), "clamp_kqv"));
    CHECK(with("llama.attention.max_alibi_bias", 0.0F) == "loaded");
    CHECK(contains(with("llama.rope.scaling.yarn_ext_factor", 0.5F), "yarn_ext_factor"));
    CHECK(contains(with("llama.attention.scale", -1.0F), "scale of attention scores"));
    CHECK(contains(with("tokenizer.ggml.eos_token_id", 64U), "outside of the vocabulary"));
    for (const auto& [key, value] : file.metadata) {
        if (key == "llama.attention.head_count_kv" || key == "llama.rope.dimension_count")
            continue;  // have defaults
        auto changed = file;
        changed.metadata.erase(key);
        CHECK(contains(error_of(changed), key.c_str()));
    }
    for (const auto& [name, tensor] : file.tensors) {
        auto changed = file;
        changed.tensors.erase(name);
        CHECK(contains(error_of(changed), name.c_str()));
        changed = file;
        changed.tensors[name].dims.back() += 1;
        if (name != "token_embd.weight")
            CHECK(contains(error_of(changed), name.c_str()));  // that one defines the vocabulary
        changed = file;
        changed.tensors[name].dims = {32, 1, 1};
        CHECK(contains(error_of(changed), name.c_str()));
    }
    auto changed = file;
    changed.tensors["blk.0.attn_q.weight"].type = 24;  // I8
    CHECK(contains(error_of(changed), "blk.0.attn_q.weight has type I8; known are F32, F16, BF16, Q8_0,"));
    CHECK(contains(error_of(changed), "IQ4_NL and MXFP4"));
}

TEST_CASE("GGUF: tensors that the model would be computed without are refused by name") {
    const auto with = [](const std::string& name) {
        auto file = GgufWriter::tiny_llama();
        file.tensors[name] = {{name == "rope_freqs.weight" ? 4U : 32U}};
        return error_of(file);
    };
    for (const char* name :
         {"blk.0.attn_sinks.weight", "blk.0.post_ffw_norm.weight", "blk.0.attn_q_norm.weight", "output.bias",
          "blk.2.attn_norm.weight", "blk.01.attn_norm.weight", "output_norm.bias", "cls.weight"}) {
        CHECK(contains(with(name), name));
        CHECK(contains(with(name), "no place"));
    }
    for (const char* name :
         {"rope_freqs.weight", "blk.0.attn_rot_embd.weight", "blk.0.attn_output.bias", "blk.1.ffn_down.bias"})
        CHECK(with(name) == "loaded");
}

TEST_CASE("Every truncation of a GGUF file is an error") {
    const Folder folder;
    GgufWriter::tiny_llama().write(folder.path / "whole.gguf");
    const auto size = fs::file_size(folder.path / "whole.gguf");
    for (std::uintmax_t length = 0; length < size; length += length < 2000 ? 7 : 4001) {
        fs::copy_file(folder.path / "whole.gguf", folder.path / "cut.gguf",
                      fs::copy_options::overwrite_existing);
        fs::resize_file(folder.path / "cut.gguf", length);
        CHECK(!load_model(folder.path / "cut.gguf").ok());
    }
}

TEST_CASE("Paths that hold no model say what is wanted") {
    const Folder folder;
    CHECK(contains(load_model("/no/such/model").error().message, "does not exist"));
    CHECK(contains(load_model(folder.path).error().message, "has no config.json"));
    folder.write("a.gguf", "not a model");
    CHECK(!load_model(folder.path / "a.gguf").ok());
}

TEST_CASE("config.json as transformers 4 and 5 write it") {
    ModelSpec spec = spec_of_config(R"("rope_theta": 500000, "rope_scaling": null, "head_dim": null)");
    CHECK(spec.ropes[0].theta == 500000.0);
    CHECK(spec.ropes[0].type == RopeType::standard);
    CHECK(spec.head_dim == 8);
    CHECK(spec.num_kv_heads == 8);
    CHECK(!spec.ropes[0].interleaved);

    spec = spec_of_config(R"("rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2})");
    CHECK(spec.ropes[0].type == RopeType::linear);
    CHECK(spec.ropes[0].factor == 2.0);

    spec = spec_of_config(R"("rope_theta": 500000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0,
        "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192})");
    CHECK(spec.ropes[0].type == RopeType::llama3);
    CHECK(spec.ropes[0].original_max_position == 8192);

    spec =
        spec_of_config(R"("rope_parameters": {"rope_theta": 7.5e5, "rope_type": "default"}, "head_dim": 16)");
    CHECK(spec.ropes[0].theta == 750000.0);
    CHECK(spec.head_dim == 16);
}

TEST_CASE("config.json that we cannot run is refused by name") {
    CHECK(contains(error_of_config(R"("model_type": "x")"), "parsed") ==
          true);  // the first of two fields counts
    CHECK(contains(error_of_config(R"("rope_scaling": {"rope_type": "ntk", "factor": 2})"),
                   "\"ntk\" is not known; known are \"default\", \"linear\""));
    CHECK(
        contains(error_of_config(R"("rope_scaling": {"rope_type": "longrope"})"), "short and long factors"));
    CHECK(contains(error_of_config(R"("rope_scaling": {"type": "default", "mrope_section": [1]})"),
                   "mrope_section"));
    CHECK(contains(error_of_config(R"("partial_rotary_factor": 1.5)"), "partial_rotary_factor"));
    CHECK(contains(error_of_config(R"("partial_rotary_factor": 0.4)"), "even number"));
    CHECK(contains(error_of_config(R"("vision_config": {})"), "vision_config"));
    CHECK(contains(error_of_config(R"("clip_qkv": 8)"), "clip_qkv"));
    CHECK(contains(error_of_config(R"("rope_parameters": {"rope_type": "llama3"})"), "\"factor\""));
    CHECK(contains(error_of_config(R"("rope_scaling": 5)"), "must be an object"));
    CHECK(contains(error_of_config(R"("hidden_act": "gelu")"), "\"gelu\""));
    CHECK(contains(error_of_config(R"("quantization_config": {})"), "quantization_config"));
    CHECK(contains(error_of_config(R"("num_key_value_heads": 3)"), "no multiple of 3"));
    CHECK(contains(error_of_config(R"("num_key_value_heads": "two")"), "must be an integer"));
    CHECK(contains(error_of_config(R"("head_dim": 7)"), "odd"));
    CHECK(contains(error_of_config(R"("head_dim": 99999999999)"), "must be an integer"));
    CHECK(contains(error_of_config(R"("rms_norm_eps": "small")"), "must be a number"));
    CHECK(contains(error_of_config(R"("eos_token_id": [1, "2"])"), "eos_token_id"));
    CHECK(contains(error_of_config(R"("rope_theta": -1)"), "rotary"));
    CHECK(contains(parse_hf_config("[1]", "config.json").error().message, "not a JSON object"));
    CHECK(contains(parse_hf_config(R"({"model_type": "gpt2"})", "c").error().message,
                   "\"gpt2\" is not known; known are llama, mistral"));
    CHECK(contains(parse_hf_config(R"({"model_type": "llama"})", "c").error().message, "num_hidden_layers"));
}

TEST_CASE("generation_config.json overrides what config.json says") {
    GenerationDefaults defaults;
    defaults.end_token_ids = {7};
    REQUIRE(parse_generation_config(R"({"temperature": 0.6, "top_p": 0.9, "do_sample": true})", "g", defaults)
                .ok());
    CHECK(defaults.end_token_ids == std::vector<TokenId>{7});
    CHECK(defaults.temperature == 0.6F);
    CHECK(defaults.top_p == 0.9F);
    REQUIRE(
        parse_generation_config(R"({"eos_token_id": [128001, 128008], "top_k": null})", "g", defaults).ok());
    CHECK(defaults.end_token_ids == std::vector<TokenId>{128001, 128008});
    REQUIRE(parse_generation_config(R"({"eos_token_id": 2})", "g", defaults).ok());
    CHECK(defaults.end_token_ids == std::vector<TokenId>{2});
    CHECK(!parse_generation_config(R"({"eos_token_id": "2"})", "g", defaults).ok());
}

TEST_CASE("Hugging Face directories: templates, end tokens and what is missing") {
    const Folder folder;
    for (const char* name : {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}) {
        fs::copy_file(stories / name, folder.path / name);
    }
    const auto load = [&] { return load_model(folder.path); };
    REQUIRE(load().ok());
    CHECK(!load()->chat_template);

    SECTION("a template in tokenizer_config.json, beside a number of 31 digits") {
        folder.write("tokenizer_config.json",
                     R"({"model_max_length": 1000000000000000019884624838656, "chat_template": "{{ 1 }}"})");
        CHECK(load()->chat_template == "{{ 1 }}");
    }
    SECTION("named templates") {
        folder.write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"},
            {"name": "default", "template": "d"}]})");
        CHECK(load()->chat_template == "d");
        folder.write("tokenizer_config.json",
                     R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
        CHECK(contains(load().error().message, "chat_template"));
        folder.write("tokenizer_config.json", R"({"chat_template": 5})");
        CHECK(contains(load().error().message, "chat_template"));
    }
    SECTION("chat_template.jinja comes first") {
        folder.write("tokenizer_config.json", R"({"chat_template": "old"})");
        folder.write("chat_template.jinja", "new");
        CHECK(load()->chat_template == "new");
    }
    SECTION("end tokens are checked against the vocabulary") {
        folder.write("generation_config.json", R"({"eos_token_id": [2, 512]})");
        CHECK(contains(load().error().message, "end token 512"));
        folder.write("generation_config.json", R"({"temperature": -1})");
        CHECK(contains(load().error().message, "temperature"));
    }
    SECTION("the tokenizer's end token ends a generation, too") {
        folder.write("generation_config.json", R"({"eos_token_id": 7})");
        CHECK(load()->generation.end_token_ids == std::vector<TokenId>{7, 2});
        folder.write("generation_config.json", R"({"eos_token_id": [2, 7]})");
        CHECK(load()->generation.end_token_ids == std::vector<TokenId>{2, 7});
    }
    SECTION("no weights") {
        fs::remove(folder.path / "model.safetensors");
        CHECK(!load().ok());
    }
    SECTION("a directory without a tokenizer still runs on ids") {
        fs::remove(folder.path / "tokenizer.json");
        CHECK(!load()->tokenizer);
    }
}

TEST_CASE("Hugging Face directories: tensors that the model would be computed without are refused") {
    const Folder folder;
    fs::copy_file(stories / "config.json", folder.path / "config.json");
    // The model with one tensor more, of four bytes behind the others.
    const auto error_with = [&](const std::string& name) -> std::string {
        std::ifstream in(stories / "model.safetensors", std::ios::binary);
        std::string file((std::istreambuf_iterator<char>(in)), {});
        std::uint64_t length = 0;
        std::memcpy(&length, file.data(), sizeof length);
        const std::uint64_t size = file.size() - sizeof length - length;
        std::string header = file.substr(sizeof length, length);
        header.erase(header.rfind('}'));
        header += ",\"" + name + R"(":{"dtype":"F32","shape":[1],"data_offsets":[)" + std::to_string(size) +
                  "," + std::to_string(size + 4) + "]}}";
        length = header.size();
        folder.write("model.safetensors", std::string(reinterpret_cast<const char*>(&length), sizeof length) +
                                              header + file.substr(file.size() - size) + "1234");
        const auto model = load_model(folder.path);
        return model ? "loaded" : model.error().message;
    };
    for (const char* name : {"model.layers.0.self_attn.q_proj.bias", "model.layers.0.mlp.up_proj.bias",
                             "model.layers.0.self_attn.q_norm.weight", "lm_head.bias"}) {
        CHECK(contains(error_with(name), name));
        CHECK(contains(error_with(name), "no place"));
    }
    CHECK(error_with("model.layers.0.self_attn.rotary_emb.inv_freq") == "loaded");
    CHECK(error_with("lm_head.weight") == "loaded");  // the head is tied
}

TEST_CASE("The content hash tells models apart and not copies") {
    const auto once = load_model(stories);
    const auto again = load_model(stories);
    const auto other = load_model(stories / "stories260k-F32.gguf");
    CHECK(once->weights->content_hash == again->weights->content_hash);
    CHECK(once->weights->content_hash != other->weights->content_hash);
}

}  // namespace troupe
