// Finds the calls of tools in what a model says, a pure function of the text, however it is cut into pieces.
// Two notations: <tool_call>{"name": ..., "arguments": {...}}</tool_call> anywhere (Hermes, Qwen, SmolLM3 and
// others), and a text that is nothing but such an object, or a list of them, if it names tools that were
// shown ("parameters" is another word for "arguments"; Llama 3, and Mistral behind its special token).
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
    // The names of the tools that the model was shown; without any, everything is content.
    explicit ToolCallReader(std::vector<std::string> tools = {}) : tools_(std::move(tools)) {}

    struct Parts {
        std::string content;
        std::vector<SpokenCall> calls;
        bool empty() const { return content.empty() && calls.empty(); }
    };
    // What the text so far shows beyond earlier calls. Held back: what may be a tag, an open call, a text
    // that begins like JSON, and white space around calls, which is dropped. What is no call after all is
    // content as it stands.
    Parts push(std::string_view text);
    Parts finish();  // the text has ended; a last call may lack its closing tag

  private:
    bool step(Parts& parts);
    void read_call(Parts& parts, std::size_t end, std::size_t after);
    bool read_bare_calls(Parts& parts);

    std::vector<std::string> tools_;
    bool begins_ = true, bare_ = false;  // nothing but white space so far; the text begins like JSON
    bool called_ = false;
    std::size_t searched_ = 0;  // bytes of an open call that hold no closing tag
    std::string gap_;           // white space before the open call
    std::string held_;
};

// Of a JSON list of tools in the form of chat or of responses.
std::vector<std::string> tool_names(std::string_view tools);

}  // namespace troupe::net
