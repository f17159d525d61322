// Finds the calls of tools in what a model says, for models that write them as
// <tool_call>{"name": ..., "arguments": {...}}</tool_call> (Hermes, Qwen, SmolLM3 and others). A pure
// function of the text, however it is cut into pieces.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace troupe::net {

struct SpokenCall {
    std::string name;
    std::string arguments;  // JSON text
    bool operator==(const SpokenCall&) const = default;
};

class ToolCallReader {
  public:
    explicit ToolCallReader(bool enabled = false) : enabled_(enabled) {}

    struct Parts {
        std::string content;
        std::vector<SpokenCall> calls;
        bool empty() const { return content.empty() && calls.empty(); }
    };
    // What the text so far shows beyond earlier calls. Held back: what may be a tag, an open call, and white
    // space around calls, which is dropped. What is no call after all is content as it stands.
    Parts push(std::string_view text);
    Parts finish();  // the text has ended; a last call may lack its closing tag

  private:
    bool step(Parts& parts);
    void read_call(Parts& parts, std::size_t end, std::size_t after);

    bool enabled_;
    bool called_ = false;
    std::string gap_;  // white space before the open call
    std::string held_;
};

}  // namespace troupe::net
