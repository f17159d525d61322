// A model from a GGUF file; see loader.hpp.
#pragma once
#include <filesystem>

#include "core/status.hpp"
#include "model/loader.hpp"

namespace troupe {

Result<LoadedModel> load_gguf(const std::filesystem::path& path);

}  // namespace troupe
