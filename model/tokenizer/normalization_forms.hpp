// Unicode's normalization forms (UAX #15): D takes characters apart, C puts them together again where there
// is one code point for them; the K forms also replace characters by what they are compatible with ("ﬁ" by
// "fi").
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace troupe {

enum class NormalizationForm : std::uint8_t { c, d, kc, kd };

std::string normalize_unicode(std::string_view text, NormalizationForm form);  // valid UTF-8

}  // namespace troupe
