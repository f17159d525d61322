// Hidden: checks a file of cases that differential.py has made.
#include <cstdlib>

#include "tests/model/jinja/case_file.hpp"

using namespace troupe::jinja;

TEST_CASE("cases of a file", "[.case-file]") {
    const char* path = std::getenv("TROUPE_CASE_FILE");
    REQUIRE(path != nullptr);
    const CaseCount count = check_cases(path);
    CHECK(count.passed == count.all);
}
