#include "model/hf_config.hpp"

#include <algorithm>

#include "model/formats/printable.hpp"
#include "model/json_reader.hpp"
#include "model/weights_builder.hpp"

namespace troupe {
namespace {

Result<simdjson::dom::object> parse_object(simdjson::dom::parser& parser, std::string_view json,
                                           const std::string& where) {
    simdjson::dom::object object;
    const auto error = parser.parse(json.data(), json.size()).get(object);
    if (error)
        return invalid_argument(where + " is not a JSON object: " + simdjson::error_message(error), "model");
    return object;
}

// An id, or a list of them.
void read_end_tokens(JsonReader& reader, std::vector<TokenId>& ids) {
    const auto element = reader.find("eos_token_id");
    if (!element) return;
    ids.clear();
    const auto add = [&](simdjson::dom::element id) {
        std::int64_t number = 0;
        if (id.get(number) != simdjson::SUCCESS || number < 0 || number > INT32_MAX) {
            return reader.fail("\"eos_token_id\" must be a token id or a list of them.");
        }
        ids.push_back(static_cast<TokenId>(number));
    };
    simdjson::dom::array list;
    if (element->get(list) != simdjson::SUCCESS) return add(*element);
    for (const simdjson::dom::element id : list) add(id);
}

// The fields of `rope_parameters` (transformers 5) and of `rope_scaling` (4, where rope_theta is outside).
void read_rope_fields(JsonReader& reader, RopeSpec& rope, std::uint32_t max_position) {
    std::string type = "default";
    reader.read("type", type);
    reader.read("rope_type", type);
    if (type == "default") {
        rope.type = RopeType::standard;
    } else if (type == "linear") {
        rope.type = RopeType::linear;
    } else if (type == "llama3") {
        rope.type = RopeType::llama3;
    } else {
        reader.fail("rope type \"" + printable(type) +
                    "\" is not known; known are \"default\", \"linear\" and \"llama3\".");
    }
    if (rope.type != RopeType::standard && !reader.find("factor"))
        reader.fail("the rope scaling has no \"factor\".");
    rope.original_max_position = max_position;
    reader.read("rope_theta", rope.theta);
    reader.read("factor", rope.factor);
    reader.read("low_freq_factor", rope.low_freq_factor);
    reader.read("high_freq_factor", rope.high_freq_factor);
    reader.read("original_max_position_embeddings", rope.original_max_position);
    double rotated = 1.0;
    reader.read("partial_rotary_factor", rotated);
    if (rotated != 1.0) reader.fail("\"partial_rotary_factor\" other than 1 is not supported.");
}

Status read_rope(JsonReader& config, ModelSpec& spec) {
    config.read("rope_theta", spec.ropes[0].theta);
    for (const char* name : {"rope_scaling", "rope_parameters"}) {
        const auto element = config.find(name);
        if (!element) continue;
        simdjson::dom::object object;
        if (element->get(object) != simdjson::SUCCESS) {
            config.fail("\"" + std::string(name) + "\" must be an object.");
            break;
        }
        JsonReader reader(object, config.where() + ": " + name);
        read_rope_fields(reader, spec.ropes[0], spec.max_position);
        if (!reader.status()) return reader.status();
    }
    return config.status();
}

void refuse_what_is_not_supported(JsonReader& reader) {
    std::string type;
    reader.read("model_type", type);
    if (type != "llama") {
        reader.fail("model_type \"" + printable(type) + "\" is not known; known is \"llama\".");
    }
    std::string activation = "silu";
    reader.read("hidden_act", activation);
    if (activation != "silu") {
        reader.fail("hidden_act \"" + printable(activation) + "\" is not known; known is \"silu\".");
    }
    bool mlp_bias = false;
    reader.read("mlp_bias", mlp_bias);
    if (mlp_bias) reader.fail("\"mlp_bias\": true is not supported.");
    if (reader.find("quantization_config")) {
        reader.fail(
            "\"quantization_config\" is not supported; take the F32, F16 or BF16 model, or a GGUF file.");
    }
}

}  // namespace

Result<HfConfig> parse_hf_config(std::string_view json, const std::string& where) {
    simdjson::dom::parser parser;
    const auto object = parse_object(parser, json, where);
    if (!object) return object.error();
    JsonReader reader(*object, where);
    refuse_what_is_not_supported(reader);
    HfConfig config;
    ModelSpec& spec = config.spec;
    spec.architecture = "llama";
    reader.require("num_hidden_layers", spec.num_layers);
    reader.require("hidden_size", spec.hidden_size);
    reader.require("num_attention_heads", spec.num_heads);
    reader.require("intermediate_size", spec.intermediate_size);
    reader.require("vocab_size", spec.vocab_size);
    spec.max_position = 2048;  // transformers' defaults for llama
    reader.read("max_position_embeddings", spec.max_position);
    double eps = 1e-6;
    reader.read("rms_norm_eps", eps);
    spec.rms_norm_eps = static_cast<float>(eps);
    spec.num_kv_heads = spec.num_heads;
    reader.read("num_key_value_heads", spec.num_kv_heads);
    spec.head_dim = spec.num_heads == 0 ? 0 : spec.hidden_size / spec.num_heads;
    reader.read("head_dim", spec.head_dim);
    reader.read("tie_word_embeddings", config.tied_embeddings);
    reader.read("attention_bias", config.attention_biases);
    read_end_tokens(reader, config.generation.end_token_ids);
    if (auto status = read_rope(reader, spec); !status) return status.error();
    if (!reader.status()) return reader.status().error();
    spec.layers.assign(std::min(spec.num_layers, max_layers), LayerSpec());
    if (auto status = check_spec(spec, where); !status) return status.error();
    return config;
}

Status parse_generation_config(std::string_view json, const std::string& where,
                               GenerationDefaults& defaults) {
    simdjson::dom::parser parser;
    const auto object = parse_object(parser, json, where);
    if (!object) return object.error();
    JsonReader reader(*object, where);
    read_end_tokens(reader, defaults.end_token_ids);
    reader.read("temperature", defaults.temperature);
    reader.read("top_p", defaults.top_p);
    reader.read("min_p", defaults.min_p);
    reader.read("top_k", defaults.top_k);
    reader.read("typical_p", defaults.typical_p);
    reader.read("repetition_penalty", defaults.repetition_penalty);
    return reader.status();
}

}  // namespace troupe
