// Megabytes of text per second, on one thread: tokenizer_bench MODEL TEXT
// MODEL is a GGUF file or a directory with tokenizer.json, TEXT a file. Times are those of the thread's
// processor, so that other programs count little; the best of five rounds.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <random>
#include <sstream>

#include "model/tokenizer/tokenizer.hpp"

namespace troupe {
namespace {

constexpr int rounds = 5;

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

std::string random_bytes() {
    std::mt19937 random(1);
    std::string bytes(1'000'000, ' ');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

int fail(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
}

int bench(const char* model, const char* file) {
    double best_load = 1e9;
    std::shared_ptr<const Tokenizer> tokenizer;
    for (int round = 0; round < rounds; ++round) {
        const double begin = cpu_seconds();
        auto loaded = load_tokenizer(model);
        if (!loaded) return fail(loaded.error());
        best_load = std::min(best_load, cpu_seconds() - begin);
        tokenizer = *loaded;
    }
    std::printf("%-24s %8.1f ms\n", "load", 1e3 * best_load);
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    const std::pair<const char*, std::string> texts[] = {
        {"the file", text.str()},
        {"1 MB of a", megabyte_of("a")},
        {"1 MB of spaces", megabyte_of(" ")},
        {"1 MB of one emoji", megabyte_of("🙂")},
        {"1 MB of combining marks", megabyte_of("\u0301\u0323")},
        {"1 MB of random bytes", random_bytes()}};
    std::vector<TokenId> ids;
    for (const auto& [name, content] : texts) {
        double best = 1e9;
        for (int round = 0; round < rounds; ++round) {
            const double begin = cpu_seconds();
            auto encoded = tokenizer->encode(content);
            if (!encoded) return fail(encoded.error());
            best = std::min(best, cpu_seconds() - begin);
            if (content == texts[0].second) ids = std::move(*encoded);
        }
        std::printf("%-24s %8.1f ms %8.1f MB/s\n", name, 1e3 * best,
                    static_cast<double>(content.size()) * 1e-6 / best);
    }
    const double begin = cpu_seconds();
    const std::string decoded = tokenizer->decode(ids);
    const double seconds = cpu_seconds() - begin;
    std::printf("%-24s %8.1f ms %8.1f MB/s\n", "the file, decoded", 1e3 * seconds,
                static_cast<double>(decoded.size()) * 1e-6 / seconds);
    return 0;
}

}  // namespace
}  // namespace troupe

int main(int argc, char** argv) {
    if (argc == 3) return troupe::bench(argv[1], argv[2]);
    std::fprintf(stderr, "usage: tokenizer_bench MODEL TEXT\n");
    return 2;
}
