// Token ids as scripts write them.
#pragma once
#include <string>
#include <vector>

#include "core/ids.hpp"
#include "core/status.hpp"

namespace troupe {

// "1,2,3": at least one id, each below `limit`. Errors are about the flag --ids.
Result<std::vector<TokenId>> parse_ids(const std::string& text, std::uint32_t limit);

}  // namespace troupe
