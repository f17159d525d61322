// Finds stop strings in text that arrives in pieces. Text that may begin a stop string is held back until it
// cannot any more; a stop string is part of the output only if that is asked for. A pure function of the
// concatenated text.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class StopStrings {
  public:
    explicit StopStrings(std::vector<std::string> stops, bool include = false)
        : stops_(std::move(stops)), include_(include) {}

    struct Step {
        std::string text;      // may be shown now
        bool stopped = false;  // a stop string is complete; nothing may follow
    };
    Step push(std::string_view piece);

    // The end came by other means: what was held back may be shown.
    std::string flush() { return std::exchange(held_, {}); }

  private:
    std::vector<std::string> stops_;  // none empty
    bool include_ = false;
    std::string held_;  // shorter than the longest stop string
};

}  // namespace troupe
