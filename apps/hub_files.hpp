// What a model on the Hugging Face hub consists of, and which of its files are needed to serve it. No network
// here.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace troupe {

// "ORG/NAME" or "ORG/NAME:FILE".
struct HubName {
    std::string repository;  // "ORG/NAME"
    std::string file;        // a GGUF file there, or what its name has in it ("Q8_0"); empty: choose

    std::string folder() const;  // "models--ORG--NAME", as huggingface_hub names it in its cache
};

// Nothing if the text cannot be one: ORG and NAME are letters, digits, "-", "_" and ".".
std::optional<HubName> parse_hub_name(std::string_view text);

struct HubFile {
    std::string path;        // in the repository
    std::uint64_t size = 0;  // 0: not said
    std::string
        hash;  // sha256 (64 digits) of large files, git's blob sha1 (40) of small ones; empty: not said
};

struct HubListing {
    std::string commit;  // 40 hexadecimal digits
    std::vector<HubFile> files;
};

// The API's answer to /api/models/ORG/NAME/revision/main. Refuses paths that lead out of a folder.
Result<HubListing> parse_hub_listing(const std::string& json);

// Whether a path from outside names a place below the folder that it is put into.
bool is_safe_path(std::string_view path);
bool is_hash(std::string_view text);  // 40 or 64 hexadecimal digits in lower case

// The one GGUF file that `file` names; without it, config, tokenizer, templates and the safetensors files,
// or, where there are none, the only GGUF file or the one of the preferred quantization. Errors list what
// there is.
Result<std::vector<HubFile>> choose_hub_files(const std::vector<HubFile>& files, const HubName& name);

// The files that a model.safetensors.index.json names; none if it is not understood.
std::vector<std::string> shards_of_index(const std::string& json);

}  // namespace troupe
