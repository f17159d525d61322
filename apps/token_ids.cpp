#include "apps/token_ids.hpp"

#include <sstream>

#include "conf/values.hpp"

namespace troupe {

Result<std::vector<TokenId>> parse_ids(const std::string& text, std::uint32_t limit) {
    std::vector<TokenId> ids;
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
        part.erase(0, part.find_first_not_of(' '));
        part.erase(part.find_last_not_of(' ') + 1);
        const auto id = parse_integer(part, 0, limit - 1);
        if (!id) return invalid_argument("--ids: " + id.error().message, "--ids");
        ids.push_back(static_cast<TokenId>(*id));
    }
    if (ids.empty())
        return invalid_argument("--ids: must hold at least one token id, such as 1,2,3", "--ids");
    return ids;
}

}  // namespace troupe
