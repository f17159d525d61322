// The patterns that most models cut their texts by, written out: they find what the regular expression finds,
// some times faster and in linear time on any text. Characters are those of unicode_tables.hpp.
#pragma once
#include <cstddef>
#include <string_view>

namespace troupe {

// The end of the match that begins at `begin` < text.size(). Matches of these patterns lie side by side.
using Scanner = std::size_t (*)(std::string_view text, std::size_t begin);

// The scanner of exactly this pattern; null if there is none.
Scanner find_scanner(std::string_view pattern);

}  // namespace troupe
