// The two sources of tokenizers. Messages of errors do not name the file: load_tokenizer() adds it.
#pragma once
#include <filesystem>
#include <string_view>

#include "core/status.hpp"
#include "model/formats/gguf.hpp"
#include "model/tokenizer/tokenizer_parts.hpp"

namespace troupe {

Result<TokenizerParts> tokenizer_from_gguf(const GgufFile& file);

// A Hugging Face tokenizer.json; `config_path` is the tokenizer_config.json beside it, which need not exist.
Result<TokenizerParts> tokenizer_from_json(const std::filesystem::path& path,
                                           const std::filesystem::path& config_path);

// Token texts -> ids; views of the vocabulary, which must not change meanwhile.
SpellingTable index_by_text(const std::vector<VocabularyToken>& vocabulary);

// Appends the merge of two token texts to the model's; its rank is its place.
Status add_merge(const SpellingTable& ids, std::string_view left, std::string_view right, BpeModel& model);

}  // namespace troupe
