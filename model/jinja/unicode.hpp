// UTF-8 strings as Python sees them: sequences of code points with case and classes. All strings that reach
// these functions are valid UTF-8 (JSON and template sources are checked when they are read).
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::jinja::unicode {

bool valid(std::string_view text);
size_t length(std::string_view text);                      // in code points
char32_t decode(std::string_view text, size_t& position);  // the code point there; moves past it
void append(std::string& text, char32_t code_point);
std::string_view at(std::string_view text, size_t index);  // the index-th character; precondition: it exists
std::vector<std::string_view> characters(std::string_view text);
size_t byte_offset(std::string_view text, size_t index);  // of the index-th character, or the end

// First occurrence at or after byte `from`, or npos. Linear in the worst case, unlike std::string::find.
size_t find(std::string_view text, std::string_view needle, size_t from = 0);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string capitalize(std::string_view text);  // first character upper, the rest lower
std::string title(std::string_view text);       // str.title: every run of letters capitalized

bool is_space(char32_t c);
bool is_alpha(char32_t c);
bool is_decimal(char32_t c);
bool is_upper(char32_t c);
bool is_lower(char32_t c);
bool is_printable(char32_t c);  // str.isprintable, which decides what repr escapes
bool all_of(std::string_view text, bool (*predicate)(char32_t));  // false for the empty string
// str.islower and str.isupper: some wanted character, and none of the other case.
bool has_case(std::string_view text, bool (*wanted)(char32_t), bool (*other)(char32_t));

enum class Side : unsigned char { left = 1, right = 2, both = 3 };
// str.strip: characters of `set`, or white space.
std::string_view strip(std::string_view text, Side side, std::optional<std::string_view> set = std::nullopt);

// str.splitlines.
std::vector<std::string_view> lines(std::string_view text, bool keep_ends = false);

}  // namespace troupe::jinja::unicode
