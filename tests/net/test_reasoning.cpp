#include "net/reasoning.hpp"
#include "tests/catch.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

struct Case {
    std::string text;
    Thinking start;
    std::string reasoning, content;
};

ReasoningSplitter::Parts in_pieces(const std::string& text, Thinking start, std::size_t size) {
    ReasoningSplitter splitter(start);
    ReasoningSplitter::Parts all;
    const auto add = [&](const ReasoningSplitter::Parts& parts) {
        all.reasoning += parts.reasoning;
        all.content += parts.content;
    };
    for (std::size_t at = 0; at < text.size(); at += size) add(splitter.push(text.substr(at, size)));
    add(splitter.finish());
    return all;
}

}  // namespace

TEST_CASE("Reasoning is told from content, however the text is cut") {
    const auto c = GENERATE(values<Case>({
        {"<think>\nSo be it.\n</think>\n\nYes.", Thinking::outside, "So be it.", "Yes."},
        {"\n <think>a</think>b </think> <think>", Thinking::outside, "a", "b </think> <think>"},
        {"Hm.\n\nAh </thin </think>Yes.\n", Thinking::inside, "Hm.\n\nAh </thin", "Yes.\n"},
        {"<think>\nAgain.</think>Yes", Thinking::inside, "Again.", "Yes"},
        {"Never ends \n", Thinking::inside, "Never ends", ""},
        {"Cut in the tag </thi", Thinking::inside, "Cut in the tag </thi", ""},
        {"<think></think>Yes", Thinking::outside, "", "Yes"},
        {"<think>\n\n</think>\n\n", Thinking::outside, "", ""},
        {"</think>Yes", Thinking::inside, "", "Yes"},
        {" Plain <think>x</think>", Thinking::outside, "", " Plain <think>x</think>"},
        {"<thin", Thinking::outside, "", "<thin"},
        {"<thing>", Thinking::outside, "", "<thing>"},
        {"", Thinking::inside, "", ""},
        {"<think>a</think>b", Thinking::none, "", "<think>a</think>b"},
    }));
    CAPTURE(c.text);
    for (std::size_t size : {1U, 2U, 3U, 7U, 100U}) {
        const auto parts = in_pieces(c.text, c.start, size);
        CAPTURE(size);
        CHECK(parts.reasoning == c.reasoning);
        CHECK(parts.content == c.content);
    }
    CHECK(split_reasoning(c.text, c.start).content == c.content);
}

TEST_CASE("Nothing is held back longer than needed") {
    ReasoningSplitter splitter(Thinking::outside);
    CHECK(splitter.push("<think>").empty());
    CHECK(splitter.push("one").reasoning == "one");
    CHECK(splitter.push(" two <").reasoning == " two");
    CHECK(splitter.push("b>").reasoning == " <b>");
    CHECK(splitter.push("</think>").empty());
    CHECK(splitter.push("\n").empty());
    CHECK(splitter.push("x").content == "x");
    CHECK(splitter.push(" <").content == " <");
}
