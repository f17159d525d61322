#include "model/tokenizer/pre_tokenizer.hpp"

#include <algorithm>

#include "model/tokenizer/byte_level.hpp"
#include "model/tokenizer/spelling.hpp"

namespace troupe {

namespace {

struct Piece {
    std::size_t begin;
    std::size_t end;
    bool is_match;
};

// Matches and what lies between, covering the text. A match of nothing is a border without text.
void cut_at_matches(std::string_view text, const std::vector<Regex::Range>& matches,
                    std::vector<Piece>& pieces) {
    pieces.clear();
    std::size_t covered = 0;
    for (const auto [begin, end] : matches) {
        if (begin > covered) pieces.push_back({covered, begin, false});
        pieces.push_back({begin, end, true});
        covered = end;
    }
    if (covered < text.size()) pieces.push_back({covered, text.size(), false});
}

// Joins pieces as the behaviour says (Hugging Face tokenizers, SplitDelimiterBehavior).
void join_pieces(SplitBehavior behavior, std::vector<Piece>& pieces) {
    std::vector<Piece> joined;
    bool previous_match = false;
    switch (behavior) {
        case SplitBehavior::isolated:
            return;
        case SplitBehavior::removed:
            pieces.erase(
                std::remove_if(pieces.begin(), pieces.end(), [](const Piece& p) { return p.is_match; }),
                pieces.end());
            return;
        case SplitBehavior::contiguous:
            for (const Piece& piece : pieces) {
                if (!joined.empty() && joined.back().is_match == piece.is_match) {
                    joined.back().end = piece.end;
                } else {
                    joined.push_back(piece);
                }
            }
            break;
        case SplitBehavior::merged_with_previous:
            for (const Piece& piece : pieces) {
                if (piece.is_match && !previous_match && !joined.empty()) {
                    joined.back().end = piece.end;
                } else {
                    joined.push_back(piece);
                }
                previous_match = piece.is_match;
            }
            break;
        case SplitBehavior::merged_with_next:
            for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
                if (piece->is_match && !previous_match && !joined.empty()) {
                    joined.back().begin = piece->begin;
                } else {
                    joined.push_back(*piece);
                }
                previous_match = piece->is_match;
            }
            std::reverse(joined.begin(), joined.end());
            break;
    }
    pieces = std::move(joined);
}

void push_piece(const Word& word, std::size_t begin, std::size_t end, std::vector<Word>& out) {
    if (begin < end) out.push_back({word.text.substr(begin, end - begin), word.begins_input && begin == 0});
}

Status apply_step(const SplitPreTokenizer& step, Words& words) {
    Regex::Matcher matcher(step.pattern);
    std::vector<Word> out;
    out.reserve(words.words.size());
    std::vector<Regex::Range> matches;
    std::vector<Piece> pieces;
    for (const Word& word : words.words) {
        if (Status s = matcher.find_all(word.text, matches); !s) return s;
        cut_at_matches(word.text, matches, pieces);
        if (step.invert) {
            for (Piece& piece : pieces) piece.is_match = !piece.is_match;
        }
        join_pieces(step.behavior, pieces);
        for (const Piece& piece : pieces) push_piece(word, piece.begin, piece.end, out);
    }
    words.words = std::move(out);
    return {};
}

Status apply_step(const AddSpacePreTokenizer&, Words& words) {
    for (Word& word : words.words) {
        if (word.text.front() == ' ') continue;
        word.text = words.changed.emplace_back(" " + std::string(word.text));
    }
    return {};
}

Status apply_step(const ByteLevelPreTokenizer&, Words& words) {
    for (Word& word : words.words) word.text = words.changed.emplace_back(byte_level_encode(word.text));
    return {};
}

Status apply_step(const MetaspacePreTokenizer& step, Words& words) {
    using Prepend = MetaspacePreTokenizer::Prepend;
    std::vector<Word> out;
    for (const Word& word : words.words) {
        const bool wants_prefix =
            step.prepend == Prepend::always || (step.prepend == Prepend::first && word.begins_input);
        const bool has_prefix =
            word.text.front() == ' ' || word.text.substr(0, step.replacement.size()) == step.replacement;
        std::string& text = words.changed.emplace_back(wants_prefix && !has_prefix ? step.replacement : "");
        text += replace_all(word.text, " ", step.replacement);
        const Word whole{text, word.begins_input};
        std::size_t begin = 0;
        for (std::size_t next;
             step.split && (next = text.find(step.replacement, begin + 1)) != std::string::npos;) {
            push_piece(whole, begin, next, out);
            begin = next;
        }
        push_piece(whole, begin, text.size(), out);
    }
    words.words = std::move(out);
    return {};
}

}  // namespace

Status PreTokenizer::apply(std::string_view text, bool begins_input, Words& words) const {
    words.words.clear();
    words.changed.clear();
    if (text.empty()) return {};
    words.words.push_back({text, begins_input});
    for (const PreTokenizerStep& step : steps_) {
        Status status = std::visit([&words](const auto& s) { return apply_step(s, words); }, step);
        if (!status) return status;
    }
    return {};
}

}  // namespace troupe
