#include "apps/model_setup.hpp"

#include <cstdio>
#include <new>

#include "apps/console.hpp"
#include "apps/model_source.hpp"
#include "model/gguf_form.hpp"

namespace troupe {

namespace {

std::optional<KvType> kv_type(KvDType type) {
    switch (type) {
        case KvDType::automatic:
            return std::nullopt;
        case KvDType::f16:
            return KvType::f16;
        case KvDType::bf16:
            return KvType::bf16;
        case KvDType::f32:
            return KvType::f32;
        case KvDType::int8:
            return KvType::int8;
    }
    return std::nullopt;
}

std::optional<DType> quantized_type(QuantizeType type) {
    switch (type) {
        case QuantizeType::none:
            return std::nullopt;
        case QuantizeType::q8_0:
            return DType::q8_0;
        case QuantizeType::q4_0:
            return DType::q4_0;
        case QuantizeType::q4_1:
            return DType::q4_1;
        case QuantizeType::q4_k:
            return DType::q4_k;
    }
    return std::nullopt;
}

}  // namespace

Result<ModelSource> only_model(const Config& config) {
    const auto& models = config.model.models;
    if (models.size() > 1)
        return invalid_argument("--model: this command takes one model; `troupe serve` takes several",
                                "--model");
    return models.empty() ? ModelSource{} : models.front();
}

Result<ReadyModel> set_up_model(const Config& config, const ModelSource& source, ComputePool& pool) {
    ReadyModel ready;
    auto found = find_model_files(config.hub, source.source);
    if (!found) return found.error();
    ready.path = std::move(found->path);
    auto loaded = load_model(ready.path);
    if (!loaded) return loaded.error();
    if (const auto type = quantized_type(config.model.quantize)) {
        TypeChooser types(*type);
        loaded = as_gguf(*std::move(loaded), types);
        if (!loaded) return loaded.error();
        for (const std::string& note : types.notes())
            std::fprintf(stderr, "troupe: --quantize: %s\n", note.c_str());
    }
    loaded->split_reasoning = config.model.split_reasoning;
    ready.name = found->name.empty() ? loaded->name : found->name;
    if (!config.model.generation_config) {  // neutral sampling; where a text ends is still the model's own
        loaded->generation = GenerationDefaults{.end_token_ids = loaded->generation.end_token_ids};
    }
    ready.loaded = std::make_shared<const LoadedModel>(*std::move(loaded));
    const Compute compute = config.model.compute == ComputeType::f32 ? Compute::f32 : Compute::automatic;
    try {
        ProgressBar bar("loading");
        ready.cpu = CpuModel::prepare(
            ready.loaded->spec, ready.loaded->weights, compute, pool, best_kernel_path(),
            [&](std::size_t done, std::size_t total) { bar.show(done, total); },
            kv_type(config.model.kv_dtype));
    } catch (const std::bad_alloc&) {
        return Error{ErrorCode::resource_exhausted,
                     "there is not enough memory for the weights of " + ready.path +
                         "; take a smaller model, or one that is quantized",
                     "--model",
                     {}};
    }
    return ready;
}

}  // namespace troupe
