#include "apps/token_ids.hpp"

#include "tests/catch.hpp"

using namespace troupe;

TEST_CASE("ids are parted by commas") {
    CHECK(parse_ids("1,2,3", 10).value() == std::vector<TokenId>{1, 2, 3});
    CHECK(parse_ids(" 7 , 9", 10).value() == std::vector<TokenId>{7, 9});
}

TEST_CASE("ids outside of the vocabulary and other things are errors") {
    for (const char* bad : {"", "10", "1,,2", "1;2", "-1", "one", "99999999999999999999"}) {
        INFO(bad);
        const auto result = parse_ids(bad, 10);
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().param == "--ids");
    }
}
