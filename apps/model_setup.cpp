#include "apps/model_setup.hpp"

#include <new>

#include "apps/console.hpp"
#include "apps/model_source.hpp"

namespace troupe {

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
    loaded->split_reasoning = config.model.split_reasoning;
    ready.name = found->name.empty() ? loaded->name : found->name;
    if (!config.model.generation_config) {  // neutral sampling; where a text ends is still the model's own
        loaded->generation = GenerationDefaults{.end_token_ids = loaded->generation.end_token_ids};
    }
    ready.loaded = std::make_shared<const LoadedModel>(*std::move(loaded));
    ready.compute = config.model.compute == ComputeType::f32 ? Compute::f32 : Compute::automatic;
    try {
        ProgressBar bar("loading");
        ready.cpu = CpuModel::prepare(ready.loaded->spec, ready.loaded->weights, ready.compute, pool,
                                      best_kernel_path(),
                                      [&](std::size_t done, std::size_t total) { bar.show(done, total); });
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
