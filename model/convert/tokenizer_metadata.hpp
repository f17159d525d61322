// A tokenizer.json as GGUF metadata: byte-level BPE as "gpt2" with the name of its pre-tokenizer, BPE with
// byte fallback as "llama" with scores in place of merges.
#pragma once
#include <filesystem>

#include "core/status.hpp"
#include "model/formats/gguf_writer.hpp"
#include "model/loader.hpp"

namespace troupe {

// Nothing but the model "none" if the directory has no tokenizer. Fails on kinds that GGUF has no place for.
Status set_tokenizer(GgufHead& head, const LoadedModel& model, const std::filesystem::path& directory);

// Whether the file's tokenizer cuts texts of many kinds as the original does.
Status check_tokenizer(const GgufFile& written, const Tokenizer& original);

}  // namespace troupe
