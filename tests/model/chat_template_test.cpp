#include "model/chat_template.hpp"

#include "tests/catch.hpp"

using namespace troupe;

static std::string rendered(const std::string& source, const std::string& variables) {
    const auto chat = ChatTemplate::parse(source, "<s>", "</s>");
    REQUIRE(chat.ok());
    const auto text = chat->render(variables, jinja::parse_civil_time("2026-01-15T12:34:56").value());
    REQUIRE(text.ok());
    return *text;
}

TEST_CASE("a chat template sees the model's tokens, the prompt flag and the time") {
    CHECK(rendered("{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools }}", "{}") ==
          "<s></s>TrueNone");
    CHECK(rendered("{{ add_generation_prompt }}{{ bos_token }}",
                   R"({"add_generation_prompt":false,"bos_token":"B"})") == "FalseB");
    CHECK(rendered("{{ strftime_now('%d %b %Y') }}", "{}") == "15 Jan 2026");
    CHECK(rendered("{{ messages[0].content }}{{ enable_thinking }}",
                   R"({"messages":[{"role":"user","content":"é\n"}],"enable_thinking":false})") ==
          "é\nFalse");
}

TEST_CASE("what the template refuses is the caller's mistake, in the template's words") {
    const auto chat = ChatTemplate::parse(
        "\n{% if not messages %}{{ raise_exception('Say something') }}{% endif %}", "", "");
    REQUIRE(chat.ok());
    const auto refused = chat->render(R"({"messages":[]})", std::nullopt);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == ErrorCode::invalid_argument);
    CHECK(refused.error().param == "messages");
    CHECK(refused.error().message.find("line 2: Say something") != std::string::npos);
}

TEST_CASE("neither a broken template nor broken variables render") {
    const auto broken = ChatTemplate::parse("a\n{% if %}", "", "");
    REQUIRE_FALSE(broken.ok());
    CHECK(broken.error().message.find("line 2") != std::string::npos);
    const auto chat = ChatTemplate::parse("x", "", "");
    REQUIRE(chat.ok());
    CHECK_FALSE(chat->render("[]", std::nullopt).ok());
    CHECK_FALSE(chat->render("{\"a\":", std::nullopt).ok());
}

TEST_CASE("which variables a template makes something of") {
    const auto reads = [](const std::string& source, const std::string& name) {
        return ChatTemplate::parse(source, "", "").value().reads(name);
    };
    CHECK(reads("{% if tools %}x{% endif %}", "tools"));
    CHECK(reads("{%- for t in tools | list %}{{ t }}{% endfor %}", "tools"));
    CHECK(reads("{% macro m(x) %}{{ tools }}{% endmacro %}", "tools"));
    CHECK(reads("{{ 'x' if reasoning_effort is defined else 'y' }}", "reasoning_effort"));
    CHECK(reads("{{ f(a=documents) }}", "documents"));
    CHECK_FALSE(reads("{{ messages[0].tools }}{# tools #} tools {{ 'tools' }}{{ f(tools=1) }}", "tools"));
    CHECK_FALSE(reads("{% set tools = 1 %}", "tools"));
}

TEST_CASE("a developer is the system, unless the template knows developers") {
    const std::string messages = R"({"messages":[{"role":"developer","content":"x"}]})";
    CHECK(rendered("{{ messages[0].role }}", messages) == "system");
    CHECK(rendered("{{ messages[0].role }}{# developer #}", messages) == "developer");
}

TEST_CASE("the arguments of tool calls are objects where the template wants objects, else text") {
    const std::string messages =
        R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[)"
        R"({"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\":2,\"a\":[1]}"}}]}]})";
    const auto with = [&](const std::string& use) {
        return rendered("{% for m in messages %}{% for c in m.tool_calls or [] %}{% set f = c.function %}" +
                            use + "{% endfor %}{% endfor %}",
                        messages);
    };
    CHECK(with("{{ f.arguments | tojson }}") == R"({"b": 2, "a": [1]})");
    CHECK(with("{% for k, v in f.arguments.items() %}{{ k }}={{ v }};{% endfor %}") == "b=2;a=[1];");
    CHECK(with("{{ f.name + f.arguments }}") == R"(f{"b":2,"a":[1]})");
    CHECK(with("{{ m.content is none }}{{ f.arguments | tojson }}") == R"(True{"b": 2, "a": [1]})");
    CHECK(with("{{ m.content + f.name }}{{ f.arguments | tojson }}") == R"(f{"b": 2, "a": [1]})");
    CHECK(rendered("{% for m in messages %}{{ m.role + m.content }};{% endfor %}", messages) ==
          "usera;assistant;");
    CHECK(with("{{ f.arguments }}") == R"({"b":2,"a":[1]})");
    CHECK(with("{{ f.arguments if f.arguments is string else f.arguments | tojson }}") ==
          R"({"b": 2, "a": [1]})");
}

TEST_CASE("continue_final_message ends the prompt with the last message's content") {
    const std::string source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}";
    const auto messages = [](const std::string& last) {
        return R"({"messages":[{"role":"user","content":"Once"},{"role":"assistant","content":")" + last +
               R"("}],"add_generation_prompt":false,"continue_final_message":true})";
    };
    CHECK(rendered(source, messages("upon ")) == "<user>Once</><assistant>upon ");
    CHECK(rendered("{% for m in messages %}<{{ m.content | trim }}>{% endfor %}", messages("upon ")) ==
          "<Once><upon");
    const auto silent = ChatTemplate::parse("{{ messages[0].content }}", "", "");
    REQUIRE(silent.ok());
    const auto refused = silent->render(messages("x"), std::nullopt);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().param == "continue_final_message");
}
