// Files of texts with the ids that a reference tokenizer gives them.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "model/tokenizer/tokenizer.hpp"

namespace troupe::testing {

struct TokenizerCase {
    std::string text;
    EncodeOptions options;
    std::vector<TokenId> ids;
    std::string decoded;  // of the ids, special tokens kept; compared only if has_decoded
    bool has_decoded = false;
};

// A JSON array of {"text", "ids", "parse_special" and "add_special" (false if absent), "decoded" (optional)}.
// Throws on a file that is none.
std::vector<TokenizerCase> read_cases(const std::filesystem::path& path);

// Checks each case; streaming must give what decode() gives.
void check_cases(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<TokenizerCase>& cases);

std::shared_ptr<const Tokenizer> load_or_fail(const std::filesystem::path& path);

}  // namespace troupe::testing
