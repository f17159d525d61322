// Regular expressions of tokenizer files, run by PCRE2 with its JIT compiler. The files' dialect is
// Oniguruma's with Ruby syntax, which Hugging Face's tokenizers use; where the two differ the pattern is
// translated, and what cannot be translated is refused.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "model/tokenizer/scanners.hpp"

namespace troupe {

class Regex {
  public:
    static Result<Regex> compile(std::string_view pattern);
    // Matches exactly this text.
    static Result<Regex> literal(std::string_view text);

    struct Range {
        std::size_t begin = 0;
        std::size_t end = 0;
    };

    // Finds matches in one or several texts; holds what PCRE2 writes to. For one thread.
    class Matcher {
      public:
        explicit Matcher(const Regex& regex);

        // All matches, left to right; a match of nothing does not count directly after another match, nor in
        // an empty text. `text` is valid UTF-8. Fails if PCRE2 gives up on a pattern that backtracks without
        // bound.
        Status find_all(std::string_view text, std::vector<Range>& matches);

        Result<std::string> replace_all(std::string_view text, std::string_view replacement);

      private:
        Result<bool> find(std::string_view text, std::size_t from, Range& match);

        const Regex& regex_;
        std::shared_ptr<void> match_data_;
    };

  private:
    std::string pattern_;  // as the file has it
    std::shared_ptr<const void> code_;
    Scanner scanner_ = nullptr;  // finds the same
};

}  // namespace troupe
