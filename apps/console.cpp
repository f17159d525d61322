#include "apps/console.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "apps/commands.hpp"

namespace troupe {
namespace {

constexpr auto redraw_interval = std::chrono::milliseconds(100);
constexpr std::uint64_t bar_width = 30;

}  // namespace

int report(const Error& error) {
    std::fprintf(stderr, "troupe: %s\n", error.message.c_str());
    return error.code == ErrorCode::invalid_argument ? exit_usage : exit_failure;
}

bool print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    return std::ferror(stdout) == 0;
}

Result<std::string> read_text(const std::string& path) {
    const auto all_of = [](std::istream& stream) {
        return std::string(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
    };
    if (path == "-") return all_of(std::cin);
    if (std::filesystem::is_directory(path)) return not_found(path + " is a directory, not a file");
    std::ifstream file(path, std::ios::binary);
    if (!file) return not_found("cannot read the file " + path + ": " + std::strerror(errno));
    return all_of(file);
}

ProgressBar::ProgressBar(std::string title)
    : title_(std::move(title)), enabled_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
    if (drawn_) std::fprintf(stderr, "\r\033[K");
}

void ProgressBar::show(std::uint64_t done, std::uint64_t total, const std::string& note) {
    const auto now = std::chrono::steady_clock::now();
    if (!enabled_ || total == 0 || (drawn_ && done < total && now - last_ < redraw_interval)) return;
    drawn_ = true;
    last_ = now;
    const std::uint64_t filled = bar_width * done / total;
    const std::string bar = std::string(filled, '#') + std::string(bar_width - filled, '.');
    std::fprintf(stderr, "\r\033[K%s [%s] %3llu %% %s", title_.c_str(), bar.c_str(),
                 static_cast<unsigned long long>(100 * done / total), note.c_str());
    std::fflush(stderr);
}

}  // namespace troupe
