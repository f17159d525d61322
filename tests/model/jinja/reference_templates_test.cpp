// Chat templates of well-known models against what Python's Jinja makes of them, and our own templates
// likewise.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/jinja/case_file.hpp"

using namespace troupe;
using namespace troupe::jinja;

static std::vector<std::filesystem::path> case_files(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    if (std::filesystem::exists(folder))
        for (const auto& entry : std::filesystem::directory_iterator(folder))
            if (entry.path().string().ends_with(".cases.json")) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

static void check_all(const std::filesystem::path& folder) {
    for (const auto& file : case_files(folder)) {
        const CaseCount count = check_cases(file);
        std::cout << file.filename().string() << ": " << count.passed << " of " << count.all
                  << " cases as in Python\n";
        CHECK(count.passed == count.all);
        CHECK(count.all > 0);
    }
}

TEST_CASE("our own templates render as in Python") {
    REQUIRE_FALSE(case_files(TROUPE_TEST_DATA "/templates").empty());
    check_all(TROUPE_TEST_DATA "/templates");
}

TEST_CASE("the templates of well-known models render as in Python") {
    const std::filesystem::path folder = TROUPE_SHARED "/data/templates";
    if (case_files(folder).empty()) {
        std::cout << "skipped: the reference templates are not here (" << folder.string() << ")\n";
        return;
    }
    check_all(folder);
}
