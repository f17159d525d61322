#include "apps/model_shape.hpp"

#include <filesystem>

#include "apps/console.hpp"
#include "engine/model_shapes.hpp"
#include "model/formats/gguf.hpp"
#include "model/formats/safetensors.hpp"
#include "model/gguf_spec.hpp"
#include "model/hf_config.hpp"

namespace troupe {
namespace {

constexpr double half = 2;  // bytes

DecoderSizes sizes_of(const ModelSpec& spec, bool tied) {
    DecoderSizes sizes;
    sizes.num_layers = spec.num_layers;
    sizes.hidden_size = spec.hidden_size;
    sizes.num_heads = spec.num_heads;
    sizes.num_kv_heads = spec.num_kv_heads;
    sizes.head_dim = spec.head_dim;
    sizes.intermediate_size = spec.intermediate_size;
    sizes.vocab_size = spec.vocab_size;
    sizes.max_context = spec.max_position;
    sizes.tied_embeddings = tied;
    if (!spec.moe || !spec.has_moe_layers()) return sizes;
    sizes.intermediate_size = spec.moe->intermediate_size;
    sizes.num_experts = spec.moe->num_experts;
    sizes.experts_per_token = spec.moe->experts_per_token;
    sizes.shared_intermediate_size = spec.moe->shared_intermediate_size;
    sizes.dense_intermediate_size = spec.intermediate_size;
    for (const LayerSpec& layer : spec.layers) sizes.num_dense_layers += layer.moe ? 0 : 1;
    return sizes;
}

// As many bytes as the files' tensors have, shared out as the parameters are.
void scale_to(ModelShape& shape, double weight_bytes) {
    const double factor = weight_bytes / shape.weight_bytes;
    shape.weight_bytes *= factor;
    shape.streamed_bytes *= factor;
    shape.expert_bytes *= factor;
}

Result<ModelShape> shape_of_gguf(const ShapeWish& wish) {
    const auto file = GgufFile::open(wish.model);
    if (!file) return file.error();
    const auto spec = read_gguf_spec(*file);
    if (!spec) return spec.error();
    const bool tied = file->find_tensor("output.weight") == nullptr;
    ModelShape shape =
        shape_of(sizes_of(*spec, tied), wish.weight_bytes.value_or(half), wish.kv_bytes.value_or(half));
    shape.name = std::filesystem::path(wish.model).stem().string();
    if (wish.weight_bytes) return shape;
    double all = 0, experts = 0, embedding = 0;
    for (const GgufTensor& tensor : file->tensors()) {
        const auto bytes = static_cast<double>(tensor.bytes);
        all += bytes;
        if (tensor.name.find("_exps.weight") != std::string_view::npos) experts += bytes;
        if (tensor.name == "token_embd.weight") embedding = bytes;
    }
    shape.weight_bytes = all;
    shape.expert_bytes = experts;
    shape.streamed_bytes = all - experts - (tied ? 0 : embedding);
    return shape;
}

bool has_safetensors(const std::filesystem::path& directory) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error))
        if (entry.path().extension() == ".safetensors") return true;
    return false;
}

Result<ModelShape> shape_of_directory(const ShapeWish& wish) {
    const std::filesystem::path directory = wish.model;
    const auto text = read_text((directory / "config.json").string());
    if (!text) {
        return invalid_argument("--model: " + wish.model +
                                    " has no config.json; give a Hugging Face directory, "
                                    "a GGUF file, or a known name",
                                "--model");
    }
    const auto config = parse_hf_config(*text, (directory / "config.json").string());
    if (!config) return config.error();
    ModelShape shape = shape_of(sizes_of(config->spec, config->tied_embeddings),
                                wish.weight_bytes.value_or(half), wish.kv_bytes.value_or(half));
    std::error_code error;
    shape.name = std::filesystem::weakly_canonical(directory, error).filename().string();
    if (wish.weight_bytes || !has_safetensors(directory)) return shape;
    const auto file = SafetensorsFile::open_directory(directory);
    if (!file) return file.error();
    double bytes = 0;
    for (const auto& [name, tensor] : file->tensors()) bytes += static_cast<double>(tensor.bytes);
    scale_to(shape, bytes);
    return shape;
}

}  // namespace

Result<ModelShape> find_model_shape(const ShapeWish& wish) {
    std::error_code error;
    if (std::filesystem::is_directory(wish.model, error)) return shape_of_directory(wish);
    if (std::filesystem::exists(wish.model, error)) return shape_of_gguf(wish);
    const auto known = find_decoder(wish.model);
    if (!known) {
        return invalid_argument("--model: " + wish.model +
                                    " is neither a file, a directory nor a known shape; known are " +
                                    decoder_names(),
                                "--model");
    }
    return shape_of(*known, wish.weight_bytes.value_or(half), wish.kv_bytes.value_or(half));
}

}  // namespace troupe
