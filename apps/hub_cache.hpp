// Models of the Hugging Face hub: out of the cache that Hugging Face's own programs share, downloaded into it
// where they are missing. Its layout (huggingface_hub, "Understand caching"):
//
//     models--ORG--NAME/refs/main                  the commit
//     models--ORG--NAME/blobs/HASH                 contents; HASH.incomplete while they arrive
//     models--ORG--NAME/snapshots/COMMIT/PATH      links to blobs
#pragma once
#include <string>

#include "apps/hub_files.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

// The path of a directory or GGUF file with the model. A whole model in the cache is taken without asking the
// hub. Downloads go on where they were cut; a file whose hash is wrong is not kept.
Result<std::string> fetch_hub_model(const HubConfig& hub, const HubName& name);

}  // namespace troupe
