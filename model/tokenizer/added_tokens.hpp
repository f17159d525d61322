// Tokens that are found in a text before anything else is done to it ("<|im_end|>").
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

struct AddedToken {
    TokenId id = 0;
    std::string content;
    bool special = false;
    bool single_word = false;  // only where no letter, digit or underscore touches it
    bool lstrip = false;       // takes white space before it
    bool rstrip = false;       // takes white space after it
    bool normalized = false;   // looked for in the normalized text, with its content normalized
};

// Finds tokens in texts. Matches are the longest of the leftmost, as Hugging Face tokenizers find them.
class AddedTokenMatcher {
  public:
    AddedTokenMatcher() : nodes_(1) {}

    void add(AddedToken token);
    bool empty() const { return tokens_.empty(); }

    // A token, or text between tokens (token = -1).
    struct Part {
        TokenId token = -1;
        std::string_view text;
    };

    // Cuts `text`, valid UTF-8; without `parse_special` special tokens are text as any other.
    std::vector<Part> split(std::string_view text, bool parse_special) const;

  private:
    // A trie over bytes; a node's children are a linked list of siblings.
    struct Node {
        std::int32_t first_child = -1;
        std::int32_t sibling = -1;
        std::int32_t token = -1;  // index into tokens_ of the one that ends here
        char byte = 0;
    };

    std::int32_t child(std::int32_t node, char byte) const;
    std::int32_t longest_match(std::string_view text) const;  // at its start; index into tokens_, or -1

    std::vector<AddedToken> tokens_;
    std::vector<Node> nodes_;
    bool begins_[256] = {};  // whether some token begins with this byte
};

}  // namespace troupe
