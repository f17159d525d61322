// Finds stop strings in text that arrives in pieces. Text that may begin a stop string is held back until it
// cannot any more; a stop string is never part of the output. A pure function of the concatenated text.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe {

class StopStrings {
  public:
    explicit StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {}

    struct Step {
        std::string text;      // may be shown now
        bool stopped = false;  // a stop string is complete; nothing may follow
    };
    Step push(std::string_view piece);

    // The end came by other means: what was held back may be shown.
    std::string flush() { return std::exchange(held_, {}); }

  private:
    std::vector<std::string> stops_;  // none empty
    std::string held_;                // shorter than the longest stop string
};

}  // namespace troupe
