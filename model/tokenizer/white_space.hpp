// Unicode's White_Space property, for stripping; regular expressions have their own.
#pragma once
#include <cstddef>
#include <string_view>

namespace troupe {

// Bytes of white space at the start and at the end of valid UTF-8.
std::size_t leading_white_space(std::string_view text);
std::size_t trailing_white_space(std::string_view text);

}  // namespace troupe
