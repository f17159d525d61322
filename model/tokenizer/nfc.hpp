// Unicode normalization form C (UAX #15): characters and their accents as one code point where there is one.
#pragma once
#include <string>
#include <string_view>

namespace troupe {

std::string to_nfc(std::string_view text);  // valid UTF-8

}  // namespace troupe
