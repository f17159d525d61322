#include "apps/model_source.hpp"

#include <filesystem>

#include "apps/hub_cache.hpp"

namespace troupe {

Result<FoundModel> find_model_files(const HubConfig& hub, const std::string& source) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (source.empty()) {
        if (fs::exists(hub.default_model, error)) return FoundModel{hub.default_model, {}};
        return not_found(
            "the default model is not here yet: run scripts/fetch-model once (98 MB), or name a model with "
            "--model. Looked for " +
            hub.default_model);
    }
    if (fs::exists(source, error)) return FoundModel{source, {}};
    const auto name = parse_hub_name(source);
    if (!name || name->repository.ends_with(".gguf")) {
        return invalid_argument("--model: there is no file or directory " + source +
                                    ", nor is it an ORG/NAME or ORG/NAME:FILE of the Hugging Face hub",
                                "--model");
    }
    auto path = fetch_hub_model(hub, *name);
    if (!path) return path.error();
    return FoundModel{*std::move(path), name->repository};
}

}  // namespace troupe
