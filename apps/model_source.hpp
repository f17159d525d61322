// From what --model says to files on this machine.
#pragma once
#include <string>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct FoundModel {
    std::string path;  // a GGUF file or a Hugging Face directory
    std::string name;  // "ORG/NAME" of one from the hub; empty: the file or directory has one
};

// An existing path; else ORG/NAME[:FILE] of the Hugging Face hub, out of its cache or downloaded into it. An
// empty `source` is the default model, SmolLM2-135M-Instruct, which scripts/fetch-model puts into the user's
// cache folder.
Result<FoundModel> find_model_files(const HubConfig& hub, const std::string& source);

}  // namespace troupe
