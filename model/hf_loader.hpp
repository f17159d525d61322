// A model from a Hugging Face directory; see loader.hpp.
#pragma once
#include <filesystem>

#include "core/status.hpp"
#include "model/loader.hpp"

namespace troupe {

Result<LoadedModel> load_hf_directory(const std::filesystem::path& directory);

}  // namespace troupe
