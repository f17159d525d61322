#include "model/hf_loader.hpp"

#include <simdjson.h>

#include "model/formats/mapped_file.hpp"
#include "model/formats/safetensors.hpp"
#include "model/hf_config.hpp"
#include "model/spec_check.hpp"
#include "model/weights_builder.hpp"

namespace troupe {
namespace {

Result<std::string> read_text(const std::filesystem::path& path) {
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    const auto bytes = (*file)->bytes();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Text models begin with "model."; the text part of others with more, in an order that changed once.
TensorNames names_in(const SafetensorsFile& file, const HfConfig& config) {
    TensorNames names = config.names;
    std::string root = "model.";
    names.lm_head = "lm_head.weight";
    if (config.text_of_more) {
        for (const char* other : {"model.language_model.", "language_model.model."})
            if (file.find_tensor(std::string(other) + "embed_tokens.weight")) root = other;
        if (root == "language_model.model.") names.lm_head = "language_model.lm_head.weight";
    }
    names.embedding = root + "embed_tokens.weight";
    names.final_norm = root + "norm.weight";
    names.layer_prefix = root + "layers.";
    // transformers 5 may also write experts under the name they have in memory.
    if (names.router && !file.find_tensor(names.layer_prefix + "0." + names.router + ".weight") &&
        file.find_tensor(names.layer_prefix + "0.mlp.gate.weight")) {
        names.router = "mlp.gate";
        names.fused_gate_up = "mlp.experts.gate_up_proj";
        names.fused_down = "mlp.experts.down_proj";
    }
    return names;
}

Result<Weights> read_weights(const std::filesystem::path& directory, const HfConfig& config) {
    const auto file = SafetensorsFile::open_directory(directory);
    if (!file) return file.error();
    WeightsRequest request;
    request.where = directory.string();
    request.names = names_in(*file, config);
    request.attention_biases = config.attention_biases;
    request.ffn_biases =
        config.ffn_biases ? WeightsRequest::FfnBiases::required : WeightsRequest::FfnBiases::none;
    request.sinks = config.sinks;
    request.expert_biases = config.expert_biases;
    request.expert_layout = config.expert_layout;
    request.head = config.tied_embeddings ? WeightsRequest::Head::tied : WeightsRequest::Head::own;
    request.find = [&](const std::string& name) -> std::optional<NamedTensor> {
        const SafeTensor* tensor = file->find_tensor(name);
        if (!tensor) return std::nullopt;
        return NamedTensor{tensor->dtype, tensor->dtype ? dtype_name(*tensor->dtype) : "U8", tensor->shape,
                           tensor->data};
    };
    for (const auto& [name, tensor] : file->tensors()) request.all.push_back(name);
    request.leave_out = [&](std::string_view name) {
        // Old files hold what the rotary base says, and some the embedding once more.
        return name.ends_with(".rotary_emb.inv_freq") ||
               (config.tied_embeddings && name == request.names.lm_head) ||
               (config.text_of_more && (name.find("vision_tower.") != std::string_view::npos ||
                                        name.find("multi_modal_projector.") != std::string_view::npos));
    };
    auto weights = build_weights(config.spec, request);
    if (!weights) return weights;
    for (const auto& shard : file->storage()) {
        weights->storage.push_back(shard);
        weights->mapped.push_back(shard->bytes());
    }
    return weights;
}

// Of a list of {"name": ..., "template": ...}.
std::optional<std::string> default_template(simdjson::ondemand::value list) {
    simdjson::ondemand::array entries;
    if (list.get_array().get(entries)) return std::nullopt;
    for (auto entry : entries) {
        std::string_view name;
        std::string_view source;
        if (entry["name"].get_string().get(name)) return std::nullopt;
        const bool is_default = name == "default";
        if (entry["template"].get_string().get(source)) return std::nullopt;
        if (is_default) return std::string(source);
    }
    return std::nullopt;
}

// tokenizer_config.json has it as a string, or as a list of named ones. Read on demand: these files hold
// numbers of 31 digits (model_max_length), which the DOM parser refuses.
Result<std::optional<std::string>> template_in_config(const std::filesystem::path& path) {
    const auto text = read_text(path);
    if (!text) return text.error();
    const simdjson::padded_string padded(*text);
    simdjson::ondemand::parser parser;
    simdjson::ondemand::document document;
    simdjson::ondemand::object config;
    if (parser.iterate(padded).get(document) || document.get_object().get(config)) {
        return invalid_argument(path.string() + " is not a JSON object.", "model");
    }
    simdjson::ondemand::value value;
    const auto error = config.find_field_unordered("chat_template").get(value);
    if (error == simdjson::NO_SUCH_FIELD) return std::optional<std::string>();
    simdjson::ondemand::json_type type{};
    if (!error && !value.type().get(type)) {
        std::string_view source;
        if (type == simdjson::ondemand::json_type::null) return std::optional<std::string>();
        if (type == simdjson::ondemand::json_type::string && !value.get_string().get(source)) {
            return std::optional<std::string>(source);
        }
        if (type == simdjson::ondemand::json_type::array) {
            if (auto named = default_template(value)) return named;
        }
    }
    return invalid_argument(
        path.string() + ": \"chat_template\" must be a string, or a list with one named \"default\".",
        "model");
}

Result<std::optional<std::string>> read_chat_template(const std::filesystem::path& directory) {
    std::error_code error;
    if (std::filesystem::exists(directory / "chat_template.jinja", error)) {
        auto text = read_text(directory / "chat_template.jinja");
        if (!text) return text.error();
        return std::optional<std::string>(std::move(*text));
    }
    if (std::filesystem::exists(directory / "tokenizer_config.json", error)) {
        return template_in_config(directory / "tokenizer_config.json");
    }
    return std::optional<std::string>();
}

Status read_generation(const std::filesystem::path& directory, LoadedModel& model) {
    const auto path = directory / "generation_config.json";
    std::error_code error;
    if (std::filesystem::exists(path, error)) {
        const auto text = read_text(path);
        if (!text) return text.error();
        if (auto status = parse_generation_config(*text, path.string(), model.generation); !status)
            return status;
    }
    return check_generation(model.generation, model.spec, directory.string());
}

}  // namespace

Result<LoadedModel> load_hf_directory(const std::filesystem::path& directory) {
    std::error_code error;
    if (!std::filesystem::exists(directory / "config.json", error)) {
        return invalid_argument(
            directory.string() +
                " has no config.json: give a Hugging Face directory, or the path of a GGUF file.",
            "model");
    }
    const auto text = read_text(directory / "config.json");
    if (!text) return text.error();
    auto config = parse_hf_config(*text, (directory / "config.json").string());
    if (!config) return config.error();
    LoadedModel model;
    const auto absolute = std::filesystem::weakly_canonical(directory, error);
    model.name = absolute.filename().string();
    model.spec = config->spec;
    model.generation = config->generation;
    auto weights = read_weights(directory, *config);
    if (!weights) return weights.error();
    model.weights = std::make_shared<const Weights>(std::move(*weights));
    if (auto status = read_generation(directory, model); !status) return status.error();
    auto chat_template = read_chat_template(directory);
    if (!chat_template) return chat_template.error();
    model.chat_template = std::move(*chat_template);
    if (std::filesystem::exists(directory / "tokenizer.json", error)) {
        auto tokenizer = load_tokenizer(directory);
        if (!tokenizer) return tokenizer.error();
        model.tokenizer = std::move(*tokenizer);
    }
    return model;
}

}  // namespace troupe
