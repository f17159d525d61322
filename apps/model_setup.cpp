#include "apps/model_setup.hpp"

#include <new>

#include "apps/console.hpp"
#include "apps/default_model.hpp"

namespace troupe {

Result<ReadyModel> set_up_model(const Config& config) {
    ReadyModel ready;
    auto path = model_path(config.model.model);
    if (!path) return path.error();
    ready.path = *std::move(path);
    auto loaded = load_model(ready.path);
    if (!loaded) return loaded.error();
    loaded->split_reasoning = config.model.split_reasoning;
    if (!config.model.generation_config) {  // neutral sampling; where a text ends is still the model's own
        loaded->generation = GenerationDefaults{.end_token_ids = loaded->generation.end_token_ids};
    }
    ready.loaded = std::make_shared<const LoadedModel>(*std::move(loaded));
    ready.pool = std::make_shared<ComputePool>(config.engine.threads);
    ready.compute = config.model.compute == ComputeType::f32 ? Compute::f32 : Compute::automatic;
    try {
        ProgressBar bar("loading");
        ready.cpu = CpuModel::prepare(ready.loaded->spec, ready.loaded->weights, ready.compute, *ready.pool,
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
