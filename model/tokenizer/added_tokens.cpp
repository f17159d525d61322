#include "model/tokenizer/added_tokens.hpp"

#include "model/tokenizer/regex.hpp"
#include "model/tokenizer/utf8.hpp"
#include "model/tokenizer/white_space.hpp"

namespace troupe {

namespace {

// Unicode's \w (UTS #18), for single_word.
bool is_word_character(std::string_view character) {
    static const auto word = Regex::compile(
        R"([\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189}])");
    std::vector<Regex::Range> matches;
    return Regex::Matcher(*word).find_all(character, matches).ok() && !matches.empty();
}

bool ends_with_word(std::string_view text) {
    if (text.empty()) return false;
    std::size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    return is_word_character(text.substr(start));
}

bool begins_with_word(std::string_view text) {
    return !text.empty() && is_word_character(text.substr(0, utf8_length(text)));
}

}  // namespace

void AddedTokenMatcher::add(AddedToken token) {
    if (token.content.empty()) return;
    std::int32_t node = 0;
    for (const char byte : token.content) {
        std::int32_t next = child(node, byte);
        if (next < 0) {
            next = static_cast<std::int32_t>(nodes_.size());
            nodes_.push_back({-1, nodes_[node].first_child, -1, byte});
            nodes_[node].first_child = next;
        }
        node = next;
    }
    begins_[static_cast<unsigned char>(token.content[0])] = true;
    nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
    tokens_.push_back(std::move(token));
}

std::int32_t AddedTokenMatcher::child(std::int32_t node, char byte) const {
    std::int32_t next = nodes_[node].first_child;
    while (next >= 0 && nodes_[next].byte != byte) next = nodes_[next].sibling;
    return next;
}

std::int32_t AddedTokenMatcher::longest_match(std::string_view text) const {
    std::int32_t longest = -1;
    std::int32_t node = 0;
    for (const char byte : text) {
        node = child(node, byte);
        if (node < 0) break;
        if (nodes_[node].token >= 0) longest = nodes_[node].token;
    }
    return longest;
}

std::vector<AddedTokenMatcher::Part> AddedTokenMatcher::split(std::string_view text,
                                                              bool parse_special) const {
    std::vector<Part> parts;
    std::size_t done = 0;         // the text before it is in parts
    std::size_t white_until = 0;  // the end of the last white space that went with a token
    const auto push_text = [&](std::size_t end) {
        if (end > done) parts.push_back({-1, text.substr(done, end - done)});
    };
    for (std::size_t at = 0; at < text.size();) {
        const std::int32_t match =
            begins_[static_cast<unsigned char>(text[at])] ? longest_match(text.substr(at)) : -1;
        if (match < 0) {
            ++at;
            continue;
        }
        const AddedToken& token = tokens_[match];
        std::size_t begin = at;
        std::size_t end = at + token.content.size();
        at = end;
        if (token.special && !parse_special) continue;
        if (token.single_word &&
            (ends_with_word(text.substr(0, begin)) || begins_with_word(text.substr(end)))) {
            continue;
        }
        if (token.lstrip) {
            begin = begin > done ? begin - trailing_white_space(text.substr(done, begin - done)) : done;
            if (begin >= end) continue;  // the white space that it is of went with a token before it
        }
        if (token.rstrip) {
            if (end >= white_until) white_until = end + leading_white_space(text.substr(end));
            end = white_until;
        }
        push_text(begin);
        parts.push_back({token.id, text.substr(begin, end - begin)});
        done = end;  // tokens within the white space that went are found all the same
    }
    push_text(text.size());
    return parts;
}

}  // namespace troupe
