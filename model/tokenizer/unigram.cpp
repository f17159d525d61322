#include "model/tokenizer/unigram.hpp"

#include <algorithm>
#include <numeric>

#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

constexpr double unknown_penalty = 10.0;  // below the lowest score

std::size_t total_bytes(const std::vector<std::string>& spellings) {
    return std::accumulate(spellings.begin(), spellings.end(), std::size_t{0},
                           [](std::size_t sum, const std::string& s) { return sum + s.size(); });
}

}  // namespace

Unigram::Unigram(const UnigramModel& model)
    : children_(total_bytes(model.spellings)),
      tokens_(1, -1),
      scores_(model.scores),
      byte_tokens_(model.byte_tokens),
      unknown_(model.unknown) {
    for (std::size_t i = 0; i < model.spellings.size(); ++i) {
        if (!model.spellings[i].empty()) add(model.spellings[i], static_cast<TokenId>(i));
    }
    if (!scores_.empty())
        unknown_score_ = *std::min_element(scores_.begin(), scores_.end()) - unknown_penalty;
}

void Unigram::add(std::string_view spelling, TokenId token) {
    TokenId node = 0;
    for (const char c : spelling) {
        const auto byte = static_cast<unsigned char>(c);
        TokenId next = children_.find(node, byte).token;
        if (next < 0) {
            next = static_cast<TokenId>(tokens_.size());
            tokens_.push_back(-1);
            children_.insert(node, byte, {0, next});
        }
        node = next;
    }
    tokens_[node] = token;
}

void Unigram::find_paths(std::string_view word, std::vector<Path>& paths) const {
    const auto offer = [&paths](std::size_t end, const Path& path) {
        if (paths[end].begin == none || path.score > paths[end].score) paths[end] = path;
    };
    for (std::size_t begin = 0; begin < word.size();) {
        const double score = paths[begin].score;
        const std::size_t character = utf8_length(word.substr(begin));
        bool is_token = false;  // the character alone
        TokenId node = 0;
        for (std::size_t at = begin; at < word.size();) {
            node = children_.find(node, static_cast<unsigned char>(word[at++])).token;
            if (node < 0) break;
            const TokenId token = tokens_[node];
            if (token < 0) continue;
            offer(at, {score + scores_[token], begin, token});
            is_token = is_token || at - begin == character;
        }
        if (!is_token) offer(begin + character, {score + unknown_score_, begin, -1});
        begin += character;
    }
}

void Unigram::encode(std::string_view word, std::vector<TokenId>& out) const {
    std::vector<Path> paths(word.size() + 1);
    find_paths(word, paths);
    std::vector<std::size_t> ends;
    for (std::size_t end = word.size(); end > 0; end = paths[end].begin) ends.push_back(end);
    std::size_t begin_unknown = none;  // of a run of unknown characters
    std::size_t begin = 0;
    for (auto end = ends.rbegin(); end != ends.rend(); begin = *end, ++end) {
        const TokenId token = paths[*end].token;
        if (token < 0 || token == unknown_) {
            if (begin_unknown == none) begin_unknown = begin;
            continue;
        }
        if (begin_unknown != none) emit_unknown(word.substr(begin_unknown, begin - begin_unknown), out);
        begin_unknown = none;
        out.push_back(token);
    }
    if (begin_unknown != none) emit_unknown(word.substr(begin_unknown), out);
}

TokenId Unigram::find(std::string_view spelling) const {
    TokenId node = 0;
    for (const char c : spelling) {
        node = children_.find(node, static_cast<unsigned char>(c)).token;
        if (node < 0) return -1;
    }
    return tokens_[node];
}

// A run of unknown characters, of which the spelling of the unknown token is one: the run may be a token
// after all.
void Unigram::emit_unknown(std::string_view text, std::vector<TokenId>& out) const {
    if (const TokenId token = find(text); token >= 0) {
        out.push_back(token);
        return;
    }
    const auto byte_token = [this](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
    if (std::all_of(text.begin(), text.end(), [&](char c) { return byte_token(c) >= 0; })) {
        for (const char c : text) out.push_back(byte_token(c));
    } else if (unknown_ >= 0) {
        out.push_back(unknown_);
    }
}

}  // namespace troupe
