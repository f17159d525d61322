// What a tokenizer that could be loaded must be able to do.
#pragma once
#include <cstdlib>
#include <memory>
#include <string>

#include "model/tokenizer/tokenizer.hpp"

namespace troupe {

inline void exercise(const std::shared_ptr<const Tokenizer>& tokenizer) {
    for (const char* text : {"", "Hello, world 123", " é世🌍\n\t <s> <|end|>", "\xff\xc3 aaaaaaaaaaaa"}) {
        const auto ids = tokenizer->encode(text, {.parse_special = true, .add_special = true});
        if (!ids) continue;
        const std::string whole = tokenizer->decode(*ids, {.skip_special = false});
        std::string pieces;
        StreamingDetokenizer stream(tokenizer, {.skip_special = false});
        for (const TokenId id : *ids) pieces += stream.push(id);
        if (pieces + stream.flush() != whole) std::abort();
    }
    for (const TokenId id : {-1, 0, 1, 1 << 30}) (void)tokenizer->token_bytes(id);
}

}  // namespace troupe
