// The flags of a command as its help shows them: in groups, each with what stands for its value.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

namespace troupe {

// `parser` must outlive it.
class FlagGroup {
  public:
    FlagGroup(CLI::App& parser, std::string name) : parser_(parser), name_(std::move(name)) {}

    template <class T>
    CLI::Option* add(const char* flag, T& place, const char* value, const std::string& text) {
        return parser_.add_option(flag, place, text)->option_text(value)->group(name_);
    }
    template <class T>
    CLI::Option* add(const char* flag, T& place, const char* value, const std::string& text,
                     const CLI::Validator& check) {
        return add(flag, place, value, text)->check(check);
    }
    CLI::Option* add_switch(const char* flag, bool& place, const std::string& text) {
        return parser_.add_flag(flag, place, text)->group(name_);
    }

  private:
    CLI::App& parser_;
    std::string name_;
};

}  // namespace troupe
