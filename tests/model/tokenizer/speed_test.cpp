// Speed, on demand: TROUPE_SPEED_TOKENIZER=model.gguf TROUPE_SPEED_TEXT=english.txt test_tokenizer "[speed]"
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/model/tokenizer/case_file.hpp"

namespace troupe {

namespace {

// Of this thread: a busy machine does not count.
double cpu_seconds() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

std::string megabyte_of(const std::string& unit) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    return text;
}

}  // namespace

TEST_CASE("megabytes of text per second", "[.speed]") {
    const char* model = std::getenv("TROUPE_SPEED_TOKENIZER");
    const char* file = std::getenv("TROUPE_SPEED_TEXT");
    REQUIRE(model != nullptr);
    REQUIRE(file != nullptr);
    const double start = cpu_seconds();
    const auto tokenizer = testing::load_or_fail(model);
    std::printf("%-16s %8.1f ms\n", "load", 1e3 * (cpu_seconds() - start));
    std::ostringstream english;
    english << std::ifstream(file, std::ios::binary).rdbuf();
    const std::pair<const char*, std::string> texts[] = {{"file", english.str()},
                                                         {"1 MB of a", megabyte_of("a")},
                                                         {"1 MB of spaces", megabyte_of(" ")},
                                                         {"1 MB of one emoji", megabyte_of("🙂")}};
    for (const auto& [name, text] : texts) {
        double best = 1e9;
        for (int round = 0; round < 5; ++round) {
            const double begin = cpu_seconds();
            const auto ids = tokenizer->encode(text);
            best = std::min(best, cpu_seconds() - begin);
            REQUIRE(ids.ok());
        }
        std::printf("%-16s %8.1f ms %8.1f MB/s\n", name, 1e3 * best,
                    1e-6 * static_cast<double>(text.size()) / best);
    }
}

}  // namespace troupe
