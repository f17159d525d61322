// What the commands share when they talk to a terminal or to a script.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.hpp"

namespace troupe {

// "troupe: message" on the error stream; returns the exit status for it.
int report(const Error& error);

// To the standard output, at once. False once it takes no more (a full disk): main reports that in the end.
bool print(std::string_view text);

// A whole file; "-" is the standard input.
Result<std::string> read_text(const std::string& path);

// A bar that redraws itself on the error stream, at most ten times a second; silent where that is no
// terminal.
class ProgressBar {
  public:
    explicit ProgressBar(std::string title);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;

    void show(std::uint64_t done, std::uint64_t total, const std::string& note = {});

  private:
    std::string title_;
    bool enabled_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point last_;
};

}  // namespace troupe
