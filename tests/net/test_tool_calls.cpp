#include "net/tool_calls.hpp"
#include "tests/catch.hpp"

using namespace troupe::net;

namespace {

ToolCallReader::Parts in_pieces(const std::string& text, std::size_t size,
                                const std::vector<std::string>& tools = {"f", "g"}) {
    ToolCallReader reader(tools);
    ToolCallReader::Parts all;
    const auto add = [&](const ToolCallReader::Parts& parts) {
        all.content += parts.content;
        all.calls.insert(all.calls.end(), parts.calls.begin(), parts.calls.end());
    };
    for (std::size_t at = 0; at < text.size(); at += size) add(reader.push(text.substr(at, size)));
    add(reader.finish());
    return all;
}

}  // namespace

TEST_CASE("Tool calls are told from content, however the text is cut") {
    struct Case {
        std::string text, content;
        std::vector<SpokenCall> calls;
    };
    const auto c = GENERATE(values<Case>({
        {"<tool_call>\n{\"name\": \"f\", \"arguments\": {\"x\": [1, 2.5]}}\n</tool_call>",
         "",
         {{"f", R"({"x":[1,2.5]})"}}},
        {"Let me "
         "see.\n\n<tool_call>{\"name\":\"f\"}</tool_call>\n<tool_call>{\"name\":\"g\",\"arguments\":\"{}\"}</"
         "tool_call>\n",
         "Let me see.",
         {{"f", "{}"}, {"g", "{}"}}},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{}}", "", {{"f", "{}"}}},
        {"<tool_call>{\"name\":\"f\"}</tool_call> And more. ", "And more. ", {{"f", "{}"}}},
        {"a <tool_call>no JSON</tool_call> b", "a <tool_call>no JSON</tool_call> b", {}},
        {"a <tool_call>[1]", "a <tool_call>[1]", {}},
        {"a < b <tool", "a < b <tool", {}},
        {" \n", " \n", {}},
        {" {\"name\": \"f\", \"parameters\": {\"x\": 1}}\n", "", {{"f", R"({"x":1})"}}},
        {"[{\"name\":\"f\",\"arguments\":{}}, {\"name\":\"g\"}]", "", {{"f", "{}"}, {"g", "{}"}}},
        {"{\"name\": \"unknown\"}", "{\"name\": \"unknown\"}", {}},
        {"[{\"name\":\"f\"}, 1] ", "[{\"name\":\"f\"}, 1] ", {}},
        {"{not JSON} <tool_call>", "{not JSON} <tool_call>", {}},
        {"[]", "[]", {}},
    }));
    CAPTURE(c.text);
    for (std::size_t size : {1U, 2U, 5U, 200U}) {
        CAPTURE(size);
        const auto parts = in_pieces(c.text, size);
        CHECK(parts.content == c.content);
        CHECK(parts.calls == c.calls);
    }
    CHECK(in_pieces(c.text, 3, {}).content == c.text);
}
