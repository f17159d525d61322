#include "model/tokenizer/byte_level.hpp"

#include <array>

#include "model/tokenizer/utf8.hpp"

namespace troupe {

namespace {

constexpr char32_t first_substitute = 0x100;
constexpr std::size_t num_substitutes = 68;

constexpr bool stands_for_itself(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
    std::array<char32_t, 256> character{};
    std::array<short, first_substitute + num_substitutes> byte{};  // -1: none
};

constexpr Alphabet make_alphabet() {
    Alphabet alphabet;
    for (short& byte : alphabet.byte) byte = -1;
    char32_t next = first_substitute;
    for (unsigned byte = 0; byte < 256; ++byte) {
        const char32_t character = stands_for_itself(byte) ? byte : next++;
        alphabet.character[byte] = character;
        alphabet.byte[character] = static_cast<short>(byte);
    }
    return alphabet;
}

constexpr Alphabet alphabet = make_alphabet();

}  // namespace

std::string byte_level_encode(std::string_view bytes) {
    std::string spelling;
    for (const char byte : bytes) append_utf8(alphabet.character[static_cast<unsigned char>(byte)], spelling);
    return spelling;
}

std::optional<std::string> byte_level_decode(std::string_view spelling) {
    std::string bytes;
    for (std::size_t i = 0; i < spelling.size();) {
        const char32_t character = decode_utf8(spelling, i);
        if (character >= alphabet.byte.size() || alphabet.byte[character] < 0) return std::nullopt;
        bytes.push_back(static_cast<char>(alphabet.byte[character]));
    }
    return bytes;
}

}  // namespace troupe
