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
