#include "model/hf_config.hpp"

#include "model/formats/printable.hpp"
#include "model/hf_families.hpp"
#include "model/hf_rope.hpp"
#include "model/json_reader.hpp"
#include "model/spec_check.hpp"

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

// Options that change what a model computes, in files of any family.
void refuse_what_is_not_supported(JsonReader& reader, const std::string& model_type) {
    for (const char* name : {"clip_qkv", "qk_layernorm", "use_qk_norm", "attention_chunk_size",
                             "vision_config", "audio_config", "encoder_config"}) {
        const auto element = reader.find(name);
        bool on = true;
        if (!element || (element->get(on) == simdjson::SUCCESS && !on)) continue;
        reader.fail("\"" + std::string(name) + "\" is not supported.");
    }
    const auto quantization = reader.object("quantization_config");
    if (!quantization) return;
    JsonReader fields(*quantization, reader.where() + ": quantization_config");
    std::string method;
    fields.read("quant_method", method);
    reader.fail(fields.status());
    if (model_type == "gpt_oss" && method == "mxfp4") return;
    reader.fail("\"quantization_config\" (\"" + printable(method) +
                "\") is not supported; take the F32, F16 or BF16 model, or a GGUF file.");
}

void read_activation(JsonReader& reader, const HfFamily& family, ModelSpec& spec) {
    const bool gemma = std::string_view(family.activation_field) == "hidden_activation";
    std::string name = gemma ? "gelu_pytorch_tanh" : "silu";
    reader.read(family.activation_field, name);
    if (name == "silu" || name == "swish") {
        spec.activation = Activation::silu;
    } else if (name == "gelu_pytorch_tanh" && !spec.has_moe_layers()) {
        spec.activation = Activation::gelu_tanh;
    } else {
        reader.fail(std::string(family.activation_field) + " \"" + printable(name) +
                    "\" is not known here; known are \"silu\" and, without experts, \"gelu_pytorch_tanh\".");
    }
}

// Of a member that has a default in some families: 0 is none.
void read_size(JsonReader& reader, const char* name, std::uint32_t& value) {
    if (value == 0) {
        reader.require(name, value);
    } else {
        reader.read(name, value);
    }
}

void read_common(JsonReader& reader, const HfFamily& family, HfConfig& config) {
    ModelSpec& spec = config.spec;
    spec.architecture = family.model_type;
    read_size(reader, "num_hidden_layers", spec.num_layers);
    read_size(reader, "hidden_size", spec.hidden_size);
    read_size(reader, "num_attention_heads", spec.num_heads);
    read_size(reader, "intermediate_size", spec.intermediate_size);
    read_size(reader, "vocab_size", spec.vocab_size);
    spec.max_position = family.max_position;
    reader.read("max_position_embeddings", spec.max_position);
    spec.rms_norm_eps = static_cast<float>(family.rms_norm_eps);
    reader.read("rms_norm_eps", spec.rms_norm_eps);
    if (spec.num_kv_heads == 0) spec.num_kv_heads = spec.num_heads;
    reader.read("num_key_value_heads", spec.num_kv_heads);
    spec.head_dim = family.head_dim;
    if (spec.head_dim == 0 && spec.num_heads != 0) spec.head_dim = spec.hidden_size / spec.num_heads;
    reader.read("head_dim", spec.head_dim);
    spec.ropes[0].theta = family.rope_theta;
    config.tied_embeddings = family.tied_embeddings;
    reader.read("tie_word_embeddings", config.tied_embeddings);
    read_end_tokens(reader, config.generation.end_token_ids);
    if (spec.num_layers > max_layers) spec.num_layers = 0;  // check_spec() says so
    spec.layers.resize(spec.num_layers);
    TensorNames& names = config.names;
    names.attn_norm = "input_layernorm";
    names.q = "self_attn.q_proj";
    names.k = "self_attn.k_proj";
    names.v = "self_attn.v_proj";
    names.o = "self_attn.o_proj";
    names.ffn_norm = "post_attention_layernorm";
    names.gate = "mlp.gate_proj";
    names.up = "mlp.up_proj";
    names.down = "mlp.down_proj";
}

Result<HfConfig> parse_text_config(simdjson::dom::object object, const std::string& model_type,
                                   const std::string& where, HfConfig config) {
    JsonReader reader(object, where);
    const HfFamily* family = find_hf_family(model_type);
    if (!family) {
        reader.fail("model_type \"" + printable(model_type) + "\" is not known; known are " +
                    known_hf_families() + ".");
        return reader.status().error();
    }
    refuse_what_is_not_supported(reader, model_type);
    read_common(reader, *family, config);
    if (!reader.status()) return reader.status().error();
    family->read(reader, config);
    read_activation(reader, *family, config.spec);
    read_hf_ropes(reader, config.spec);
    // What these scalings are for.
    const RopeSpec& rope = config.spec.ropes[0];
    if (rope.type == RopeType::dynamic || rope.type == RopeType::yarn) {
        const double stretched = rope.factor * rope.original_max_position;
        if (stretched > config.spec.max_position && stretched < 1U << 27)
            config.spec.max_position = static_cast<std::uint32_t>(stretched);
    }
    if (!reader.status()) return reader.status().error();
    if (auto status = check_spec(config.spec, where); !status) return status.error();
    return config;
}

}  // namespace

Result<HfConfig> parse_hf_config(std::string_view json, const std::string& where) {
    simdjson::dom::parser parser;
    const auto object = parse_object(parser, json, where);
    if (!object) return object.error();
    JsonReader reader(*object, where);
    std::string model_type;
    reader.read("model_type", model_type);
    HfConfig config;
    const auto text = model_type == "gemma3" ? reader.object("text_config") : std::nullopt;
    if (!reader.status()) return reader.status().error();
    if (!text) return parse_text_config(*object, model_type, where, std::move(config));
    // A model that also sees: its text part, whose configuration may leave out what Gemma3TextConfig says.
    config.text_of_more = true;
    config.spec.num_layers = 26;
    config.spec.hidden_size = 2304;
    config.spec.num_heads = 8;
    config.spec.num_kv_heads = 4;
    config.spec.intermediate_size = 9216;
    config.spec.vocab_size = 262208;
    auto parsed = parse_text_config(*text, "gemma3_text", where + ": text_config", std::move(config));
    if (!parsed) return parsed;
    read_end_tokens(reader, parsed->generation.end_token_ids);
    reader.read("tie_word_embeddings", parsed->tied_embeddings);
    if (!reader.status()) return reader.status().error();
    return parsed;
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
