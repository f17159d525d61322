// The pre-tokenizers that GGUF files name instead of holding them (tokenizer.ggml.pre).
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace troupe {

// GPT-2's, which tokenizer.json calls ByteLevel.
inline constexpr std::string_view gpt2_pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct NamedPreTokenizer {
    std::vector<std::string_view> names;
    std::vector<std::string_view> patterns;  // each isolates its matches in what the ones before left
    bool ignore_merges = false;
    bool add_bos = false;  // unless tokenizer.ggml.add_bos_token says otherwise
};

// Fails with the list of known names.
Result<NamedPreTokenizer> find_pre_tokenizer(std::string_view name);

}  // namespace troupe
