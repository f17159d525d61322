// For the error message: which member of a JSON text holds the number that no reader takes.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace troupe::net {

struct BadNumber {
    std::string path;  // "logit_bias.5"; of a list its own name
    std::string text;  // "1e400"
};

// Looks at the first thousand numbers only: others may be waiting. Precondition: apart from its numbers the
// text has been tokenized without an error.
std::optional<BadNumber> find_bad_number(std::string_view json);

}  // namespace troupe::net
