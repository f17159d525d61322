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
    bool has_text = true;  // if not, the ids are only decoded
    EncodeOptions options;
    bool skip_special = false;
    std::vector<TokenId> ids;
    std::string decoded;  // of the ids; compared only if has_decoded
    bool has_decoded = false;
};

// A JSON array of {"text" (optional), "ids", "parse_special", "add_special" and "skip_special" (false if
// absent), "decoded" (optional)}. Throws on a file that is none.
std::vector<TokenizerCase> read_cases(const std::filesystem::path& path);

// What is wrong with each case that is not right: ids, text, or a stream that gives other text than decode().
std::vector<std::string> wrong_cases(const std::shared_ptr<const Tokenizer>& tokenizer,
                                     const std::vector<TokenizerCase>& cases);

void check_cases(const std::shared_ptr<const Tokenizer>& tokenizer, const std::vector<TokenizerCase>& cases);

std::shared_ptr<const Tokenizer> load_or_fail(const std::filesystem::path& path);

}  // namespace troupe::testing
