#include "model/tokenizer/white_space.hpp"

#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

bool is_white_space(char32_t c) {
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

}  // namespace

std::size_t leading_white_space(std::string_view text) {
    std::size_t end = 0;
    for (std::size_t next = 0; next < text.size(); end = next) {
        if (!is_white_space(decode_utf8(text, next))) break;
    }
    return end;
}

std::size_t trailing_white_space(std::string_view text) {
    std::size_t begin = text.size();
    while (begin > 0) {
        std::size_t start = begin - 1;
        while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
        std::size_t position = start;
        if (!is_white_space(decode_utf8(text, position))) break;
        begin = start;
    }
    return text.size() - begin;
}

}  // namespace troupe
