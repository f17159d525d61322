// Names of requests, responses and items: a prefix and 128 random bits.
#pragma once
#include <string>
#include <string_view>

namespace troupe::net {

std::string random_id(std::string_view prefix);  // "resp_" + 32 hexadecimal digits; any thread

}  // namespace troupe::net
