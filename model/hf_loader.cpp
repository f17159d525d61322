#include "model/hf_loader.hpp"

#include <fstream>

#include "model/formats/mapped_file.hpp"
#include "model/formats/safetensors.hpp"
#include "model/hf_config.hpp"
#include "model/json_reader.hpp"
#include "model/weights_builder.hpp"

namespace troupe {
namespace {

constexpr TensorNames hf_names = {"model.embed_tokens.weight",
                                  "model.norm.weight",
                                  "lm_head.weight",
                                  "model.layers.",
                                  "input_layernorm",
                                  "self_attn.q_proj",
                                  "self_attn.k_proj",
                                  "self_attn.v_proj",
                                  "self_attn.o_proj",
                                  "post_attention_layernorm",
                                  "mlp.gate_proj",
                                  "mlp.up_proj",
                                  "mlp.down_proj"};

Result<std::string> read_text(const std::filesystem::path& path) {
    const auto file = MappedFile::open(path);
    if (!file) return file.error();
    const auto bytes = (*file)->bytes();
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<Weights> read_weights(const std::filesystem::path& directory, const HfConfig& config) {
    const auto file = SafetensorsFile::open_directory(directory);
    if (!file) return file.error();
    WeightsRequest request;
    request.where = directory.string();
    request.names = hf_names;
    request.attention_biases =
        config.attention_biases ? WeightsRequest::Biases::required : WeightsRequest::Biases::none;
    request.head = config.tied_embeddings ? WeightsRequest::Head::tied : WeightsRequest::Head::own;
    request.find = [&](const std::string& name) -> std::optional<NamedTensor> {
        const SafeTensor* tensor = file->find_tensor(name);
        if (!tensor) return std::nullopt;
        return NamedTensor{tensor->dtype, dtype_name(tensor->dtype), tensor->shape, tensor->data};
    };
    auto weights = build_weights(config.spec, request);
    if (weights) weights->storage.assign(file->storage().begin(), file->storage().end());
    return weights;
}

// tokenizer_config.json has it as a string, or as a list of named ones.
Result<std::optional<std::string>> template_in_config(const std::filesystem::path& path) {
    const auto text = read_text(path);
    if (!text) return text.error();
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (const auto error = parser.parse(*text).get(object)) {
        return invalid_argument(path.string() + " is not a JSON object: " + simdjson::error_message(error),
                                "model");
    }
    JsonReader reader(object, path.string());
    const auto element = reader.find("chat_template");
    if (!element) return std::optional<std::string>();
    std::string_view source;
    if (element->get(source) == simdjson::SUCCESS) return std::optional<std::string>(source);
    simdjson::dom::array list;
    if (element->get(list) == simdjson::SUCCESS) {
        for (const simdjson::dom::element entry : list) {
            std::string_view name;
            if (entry["name"].get(name) == simdjson::SUCCESS && name == "default" &&
                entry["template"].get(source) == simdjson::SUCCESS) {
                return std::optional<std::string>(source);
            }
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
