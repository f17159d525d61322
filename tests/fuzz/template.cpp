// Jinja templates, with variables like those of a conversation and limits like those of a server, made
// smaller.
#include <cstdlib>

#include "model/jinja/json.hpp"
#include "model/jinja/template.hpp"

using namespace troupe;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const jinja::Value variables =
        jinja::parse_json(
            R"({"bos_token":"<s>","eos_token":"</s>","add_generation_prompt":true,"tools":[{"type":"function",
                "function":{"name":"f","parameters":{"properties":{"x":{"type":["a","b"],"default":1.5}}}}}],
                "messages":[{"role":"system","content":" S\n"},{"role":"user","content":"U é 🌍 <b>"},
                {"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":{"x":[]}}}]}],
                "n":7,"f":2.5,"s":"abc","xs":[3,1,2],"d":{"a":1}})")
            .value();
    const auto parsed = jinja::Template::parse(std::string(reinterpret_cast<const char*>(data), size));
    if (!parsed) {
        if (parsed.error().message.empty()) std::abort();
        return 0;
    }
    jinja::RenderOptions options;
    options.now = jinja::CivilTime{};
    options.limits = {size_t{1} << 20, size_t{16} << 20, 200'000, 300};
    const auto text = parsed->render(variables, options);
    if (text && text->size() > options.limits.max_output) std::abort();
    if (!text && text.error().message.empty()) std::abort();
    return 0;
}
