#include "model/tokenizer/bpe.hpp"

#include <algorithm>

#include "model/tokenizer/spelling.hpp"
#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

constexpr std::size_t short_word = 48;  // symbols up to which searching beats a heap

bool begins_with(std::string_view text, std::string_view prefix) {
    return text.substr(0, prefix.size()) == prefix;
}
bool ends_with(std::string_view text, std::string_view suffix) {
    return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

}  // namespace

struct Bpe::Scratch {
    struct Candidate {
        std::uint32_t rank;
        std::uint32_t left;  // index of the pair's left symbol
        TokenId left_token;  // the pair as it was: one that changed since is stale
        TokenId right_token;
        TokenId result;
    };

    std::vector<TokenId> symbols;
    std::vector<std::uint32_t> next;
    std::vector<std::uint32_t> previous;
    std::vector<Candidate> heap;
    std::vector<Merge> pairs;
};

Bpe::ScratchPtr Bpe::make_scratch() { return ScratchPtr(new Scratch); }
void Bpe::ScratchDeleter::operator()(Scratch* scratch) const { delete scratch; }
Bpe::~Bpe() = default;

Bpe::Bpe(BpeModel model)
    : model_(std::move(model)),
      tokens_(model_.spellings.size()),
      merges_(model_.merges.size()),
      whole_(new std::atomic<Whole>[model_.spellings.size()]) {
    one_byte_.fill(-1);
    for (std::size_t i = 0; i < model_.spellings.size(); ++i) {
        whole_[i] = Whole::unknown;
        const std::string& spelling = model_.spellings[i];
        if (spelling.empty()) continue;
        tokens_.insert(spelling, static_cast<TokenId>(i));
        longest_spelling_ = std::max(longest_spelling_, spelling.size());
    }
    for (unsigned byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        one_byte_[byte] = tokens_.find({&c, 1});
    }
    for (const BpeMerge& merge : model_.merges)
        merges_.insert(merge.left, merge.right, {merge.rank, merge.result});
    cut_at_metaspace_ = separable_at_metaspace();
    model_.merges = {};
}

// Vocabularies without a pre-tokenizer get whole texts as one word. Where no merge joins something with a
// metaspace on its right, cutting there changes nothing, and short words are quicker.
bool Bpe::separable_at_metaspace() const {
    if (model_.byte_level || model_.ignore_merges || has_affixes() || tokens_.find(metaspace) < 0)
        return false;
    return std::none_of(model_.merges.begin(), model_.merges.end(), [this](const BpeMerge& merge) {
        return begins_with(model_.spellings[merge.right], metaspace) &&
               !ends_with(model_.spellings[merge.left], metaspace);
    });
}

void Bpe::encode(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    if (!cut_at_metaspace_) return encode_word(word, scratch, out);
    std::size_t begin = 0;
    for (std::size_t next = word.find(metaspace, 1); next != std::string_view::npos;
         next = word.find(metaspace, next + 1)) {
        if (ends_with(word.substr(begin, next - begin), metaspace)) continue;
        encode_word(word.substr(begin, next - begin), scratch, out);
        begin = next;
    }
    if (begin < word.size()) encode_word(word.substr(begin), scratch, out);
}

// The token that is spelled like the word, or -1.
TokenId Bpe::whole_word(std::string_view word) const {
    if (word.size() > longest_spelling_) return -1;
    const TokenId token =
        word.size() == 1 ? one_byte_[static_cast<unsigned char>(word[0])] : tokens_.find(word);
    return static_cast<std::size_t>(token) < model_.vocab_size ? token : -1;
}

void Bpe::encode_word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
    TokenId whole = whole_word(word);
    const bool at_once = model_.ignore_merges || (model_.newlines_are_whole && word[0] == '\n');
    if (whole >= 0 && (at_once || whole_[whole].load(std::memory_order_relaxed) == Whole::yes)) {
        out.push_back(whole);
        return;
    }
    if (has_affixes()) whole = -1;  // the word's symbols do not spell it
    std::vector<TokenId>& symbols = scratch.symbols;
    symbols.clear();
    cut_into_symbols(word, symbols);
    if (symbols.size() <= short_word) {
        merge_short(symbols);
    } else {
        merge_long(scratch);
    }
    if (whole >= 0) {
        const bool is_whole = symbols.size() == 1 && symbols[0] == whole;
        whole_[whole].store(is_whole ? Whole::yes : Whole::no, std::memory_order_relaxed);
    }
    emit(symbols, out);
}

// As Hugging Face's tokenizers do it: an unknown token waits for the next known character, so bytes that
// stand for other unknown characters may come before it.
void Bpe::cut_into_symbols(std::string_view word, std::vector<TokenId>& symbols) const {
    bool unknown_waits = false;
    for (std::size_t at = 0; at < word.size();) {
        const std::size_t length = model_.byte_level ? 1 : utf8_length(word.substr(at));
        const TokenId token = find_character(word, at, length);
        if (token >= 0) {
            if (unknown_waits) symbols.push_back(model_.unknown);
            unknown_waits = false;
            symbols.push_back(token);
        } else if (!append_byte_tokens(with_affixes(word, at, length), symbols) && model_.unknown >= 0) {
            if (unknown_waits && !model_.fuse_unknown) symbols.push_back(model_.unknown);
            unknown_waits = true;
        }
        at += length;
    }
    if (unknown_waits) symbols.push_back(model_.unknown);
}

TokenId Bpe::find_character(std::string_view word, std::size_t at, std::size_t length) const {
    if (has_affixes()) return tokens_.find(with_affixes(word, at, length));
    return length == 1 ? one_byte_[static_cast<unsigned char>(word[at])]
                       : tokens_.find(word.substr(at, length));
}

std::string Bpe::with_affixes(std::string_view word, std::size_t at, std::size_t length) const {
    std::string character(word.substr(at, length));
    if (at > 0) character.insert(0, model_.continuing_prefix);
    if (at + length == word.size()) character += model_.end_suffix;
    return character;
}

// Whether there is one for each byte.
bool Bpe::append_byte_tokens(std::string_view text, std::vector<TokenId>& out) const {
    const auto byte_token = [this](char c) { return model_.byte_tokens[static_cast<unsigned char>(c)]; };
    if (!std::all_of(text.begin(), text.end(), [&](char c) { return byte_token(c) >= 0; })) return false;
    for (const char c : text) out.push_back(byte_token(c));
    return true;
}

void Bpe::merge_short(std::vector<TokenId>& symbols) const {
    std::array<Merge, short_word> pairs;  // pairs[i]: of symbols i and i + 1
    std::size_t count = symbols.size();
    for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merges_.find(symbols[i], symbols[i + 1]);
    while (count > 1) {
        std::size_t best = count;
        std::uint32_t best_rank = UINT32_MAX;
        for (std::size_t i = 0; i + 1 < count; ++i) {
            if (pairs[i].token >= 0 && pairs[i].rank < best_rank) {
                best = i;
                best_rank = pairs[i].rank;
            }
        }
        if (best == count) break;
        symbols[best] = pairs[best].token;
        std::copy(symbols.begin() + best + 2, symbols.begin() + count, symbols.begin() + best + 1);
        std::copy(pairs.begin() + best + 1, pairs.begin() + count - 1, pairs.begin() + best);
        --count;
        if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
        if (best + 1 < count) pairs[best] = merges_.find(symbols[best], symbols[best + 1]);
    }
    symbols.resize(count);
}

void Bpe::merge_long(Scratch& scratch) const {
    using Candidate = Scratch::Candidate;
    constexpr std::uint32_t none = UINT32_MAX;
    std::vector<TokenId>& symbols = scratch.symbols;
    auto& [_, next, previous, heap, pairs] = scratch;
    const auto count = static_cast<std::uint32_t>(symbols.size());
    next.resize(count);
    previous.resize(count);
    heap.clear();
    // The heap's top is the lowest rank, the leftmost among equals.
    const auto later = [](const Candidate& a, const Candidate& b) {
        return a.rank != b.rank ? a.rank > b.rank : a.left > b.left;
    };
    const auto candidate = [&](std::uint32_t left, std::uint32_t right) {
        const Merge merge = merges_.find(symbols[left], symbols[right]);
        return Candidate{merge.rank, left, symbols[left], symbols[right], merge.token};
    };
    for (std::uint32_t i = 0; i < count; ++i) {
        previous[i] = i == 0 ? none : i - 1;
        next[i] = i + 1 == count ? none : i + 1;
        if (i + 1 == count) break;
        const Candidate pair = candidate(i, i + 1);
        if (pair.result >= 0) heap.push_back(pair);
    }
    std::make_heap(heap.begin(), heap.end(), later);
    const auto push = [&, &heap = heap](std::uint32_t left,
                                        std::uint32_t right) {  // clang 14 asks for the name
        const Candidate pair = candidate(left, right);
        if (pair.result < 0) return;
        heap.push_back(pair);
        std::push_heap(heap.begin(), heap.end(), later);
    };
    while (!heap.empty()) {
        const Candidate top = heap.front();
        std::pop_heap(heap.begin(), heap.end(), later);
        heap.pop_back();
        const std::uint32_t left = top.left;
        if (symbols[left] != top.left_token) continue;
        const std::uint32_t right = next[left];
        if (right == none || symbols[right] != top.right_token) continue;
        symbols[left] = top.result;
        symbols[right] = -1;
        next[left] = next[right];
        if (next[right] != none) previous[next[right]] = left;
        if (previous[left] != none) push(previous[left], left);
        if (next[left] != none) push(left, next[left]);
    }
    symbols.erase(std::remove(symbols.begin(), symbols.end(), -1), symbols.end());
}

// Symbols outside of the vocabulary that are left over come apart into bytes.
void Bpe::emit(const std::vector<TokenId>& symbols, std::vector<TokenId>& out) const {
    for (const TokenId symbol : symbols) {
        if (static_cast<std::size_t>(symbol) < model_.vocab_size) {
            out.push_back(symbol);
            continue;
        }
        const std::string& spelling = model_.spellings[symbol];
        if (model_.byte_level) {
            for (const char c : spelling) {
                const TokenId token = one_byte_[static_cast<unsigned char>(c)];
                if (static_cast<std::size_t>(token) < model_.vocab_size) out.push_back(token);
            }
        } else if (!append_byte_tokens(spelling, out) && model_.unknown >= 0) {
            out.push_back(model_.unknown);
        }
    }
}

}  // namespace troupe
