// The model that commands use without --model: SmolLM2-135M-Instruct, which scripts/fetch-model puts into the
// user's cache folder.
#pragma once
#include <string>

#include "core/status.hpp"

namespace troupe {

// `model` itself, or the default model's path if it is empty. Fails if that was not fetched yet.
Result<std::string> model_path(const std::string& model);

}  // namespace troupe
