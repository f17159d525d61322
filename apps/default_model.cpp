#include "apps/default_model.hpp"

#include <cstdlib>
#include <filesystem>

namespace troupe {

Result<std::string> model_path(const std::string& model) {
    namespace fs = std::filesystem;
    if (!model.empty()) {
        if (!fs::exists(model)) {
            return invalid_argument("--model: there is no file or directory " + model, "--model");
        }
        return model;
    }
    // The one place besides the configuration that reads the environment: where the cache folder is.
    const char* cache = std::getenv("XDG_CACHE_HOME");
    const char* home = std::getenv("HOME");
    const fs::path folder = cache != nullptr && *cache != '\0' ? fs::path(cache)
                            : home != nullptr                  ? fs::path(home) / ".cache"
                                                               : fs::path(".cache");
    const fs::path path = folder / "troupe" / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!fs::exists(path)) {
        return not_found(
            "the default model is not here yet: run scripts/fetch-model once (98 MB), or name a model with "
            "--model. Looked for " +
            path.string());
    }
    return path.string();
}

}  // namespace troupe
