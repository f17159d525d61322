// Lines of the standard input, for a conversation that Ctrl-C must be able to interrupt.
#pragma once
#include <string>

namespace troupe {

class LineReader {
  public:
    enum class Outcome { line, end, interrupted };

    // The next line without its newline; a last line without one counts. `interrupted` if a signal came
    // first.
    Outcome next(std::string& line);

  private:
    std::string pending_;
    bool ended_ = false;
};

}  // namespace troupe
