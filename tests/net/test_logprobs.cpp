// logprobs, echo and prompt_logprobs: what is asked of the port, and how its answers are written.
#include <array>
#include <limits>
#include <mutex>

#include "net/logprobs_render.hpp"
#include "tests/net/fixture.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

constexpr float impossible = -std::numeric_limits<float>::infinity();

TextLogprobs entry(TokenId id, const std::string& text, float logprob, std::uint32_t offset,
                   std::vector<TextLogprob> top = {}) {
    return {{id, text, logprob}, 1, offset, std::move(top)};
}

TextEvent text_event(std::uint64_t index, const std::string& text, std::vector<TextLogprobs> logprobs) {
    return {index, text, static_cast<std::uint32_t>(index + 1), false, std::move(logprobs)};
}

FinishedEvent finished(FinishReason reason, std::uint32_t tokens, std::vector<TextLogprobs> logprobs = {}) {
    FinishedEvent event;
    event.reason = reason;
    event.usage = {2, 0, tokens};
    event.logprobs = std::move(logprobs);
    return event;
}

// "Hé" and " x", then an end token without text.
void play(FakePort& port, const GenerationRequest& request) {
    const std::uint32_t top = request.sampling.logprobs.value_or(0);
    const auto best = [&](std::vector<TextLogprob> all) {
        all.resize(std::min<std::size_t>(all.size(), top));
        return all;
    };
    port.start(request.id, 2);
    if (request.describe_prompt) {
        PromptEvent prompt{"a\u00e9", {}};
        if (request.sampling.prompt_logprobs) {
            prompt.logprobs = {{{7, "a", 0.0F}, 0, 0, {}},
                               {{8, "\u00e9", -3.0F}, 4, 1, {{9, "b", -0.5F}, {8, "\u00e9", -3.0F}}}};
        }
        port.play(request.id, prompt);
    }
    if (request.sampling.max_tokens == 0U) return port.play(request.id, finished(FinishReason::length, 0));
    port.play(request.id, text_event(0, "H\u00e9",
                                     {entry(1, "H\u00e9", -0.25F, 0,
                                            best({{1, "H\u00e9", -0.25F}, {2, "\xC3", impossible}}))}));
    port.play(
        request.id,
        text_event(1, " x", {entry(3, " x", -1.5F, 2, best({{4, "\xC3", -0.5F}, {5, "\xA9", -1.0F}}))}));
    port.play(request.id,
              finished(FinishReason::stop, 3, {entry(0, "</s>", -2.0F, 4, best({{0, "</s>", -2.0F}}))}));
}

std::string completion(const std::string& fields) {
    return R"({"model":"fake","prompt":"aé",)" + fields + "}";
}

const std::string output_logprobs =
    R"({"text_offset":[0,2,4],"token_logprobs":[-0.25,-1.5,-2],"tokens":["Hé"," x","</s>"],)"
    R"("top_logprobs":[{"Hé":-0.25,"�":-9999},{"�":-0.5," x":-1.5},{"</s>":-2}]})";

}  // namespace

TEST_CASE("Logprobs of a completion: the drawn token is among the top, one text stands once") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer = fixture.post("/v1/completions", completion(R"("logprobs":2)"));
    REQUIRE(answer.status == 200);
    CHECK(at(answer.body, "/choices/0/logprobs") == output_logprobs);
    CHECK(at(answer.body, "/choices/0/text") == R"("Hé x")");
    const Answer ids =
        fixture.post("/v1/completions", completion(R"("logprobs":0,"return_tokens_as_token_ids":true)"));
    CHECK(at(ids.body, "/choices/0/logprobs/tokens") == R"(["token_id:1","token_id:3","token_id:0"])");
    CHECK(at(ids.body, "/choices/0/logprobs/top_logprobs/1") == R"({"token_id:3":-1.5})");
    const Answer none = fixture.post("/v1/completions", completion(R"("logprobs":null)"));
    CHECK(at(none.body, "/choices/0/logprobs") == "null");
}

TEST_CASE("Streamed logprobs are those of the whole answer, in pieces") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer = fixture.post("/v1/completions", completion(R"("logprobs":2,"stream":true)"));
    std::string tokens, offsets;
    const auto data = sse_data(answer.body);
    for (std::size_t i = 0; i + 1 < data.size(); ++i) {
        for (int k = 0; k < 3; ++k) {
            const std::string place = "/choices/0/logprobs/";
            tokens += string_at(data[i], place + "tokens/" + std::to_string(k)) + "|";
        }
        offsets += at(data[i], "/choices/0/logprobs/text_offset");
    }
    tokens.erase(std::remove(tokens.begin(), tokens.end(), '|'), tokens.end());
    CHECK(tokens == "Hé x</s>");
    CHECK(has(offsets, "0"));
    CHECK(has(offsets, "4"));
}

TEST_CASE("Logprobs of a chat") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const std::string chat = R"({"model":"fake","messages":[{"role":"user","content":"hi"}],)";
    const Answer answer =
        fixture.post("/v1/chat/completions", chat + R"("logprobs":true,"top_logprobs":1,"max_tokens":5})");
    REQUIRE(answer.status == 200);
    const std::string content = "/choices/0/logprobs/content";
    CHECK(
        at(answer.body, content + "/0") ==
        R"({"token":"Hé","logprob":-0.25,"bytes":[72,195,169],"top_logprobs":[{"token":"Hé","logprob":-0.25,)"
        R"("bytes":[72,195,169]}]})");
    CHECK(at(answer.body, content + "/1/top_logprobs/0/bytes") == "[195]");
    CHECK(at(answer.body, content + "/2/token") == R"("</s>")");
    CHECK(fixture.port.generation(fixture.port.submitted(0)).request.sampling.logprobs == 1U);
    const Answer drawn = fixture.post("/v1/chat/completions", chat + R"("logprobs":true,"max_tokens":5})");
    CHECK(at(drawn.body, content + "/0/top_logprobs") == "[]");
    const Answer streamed =
        fixture.post("/v1/chat/completions", chat + R"("logprobs":true,"max_tokens":5,"stream":true})");
    CHECK(has(streamed.body, R"("logprobs":{"content":[{"token":"Hé")"));
    CHECK(has(streamed.body, R"("token":"</s>")"));
}

TEST_CASE("Echo puts the prompt before the output, with logprobs from its second token on") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer = fixture.post("/v1/completions", completion(R"("echo":true,"logprobs":1)"));
    REQUIRE(answer.status == 200);
    CHECK(at(answer.body, "/choices/0/text") == R"("aéHé x")");
    const std::string logprobs = "/choices/0/logprobs/";
    CHECK(at(answer.body, logprobs + "tokens") == R"(["a","é","Hé"," x","</s>"])");
    CHECK(at(answer.body, logprobs + "token_logprobs") == "[null,-3,-0.25,-1.5,-2]");
    CHECK(at(answer.body, logprobs + "text_offset") == "[0,1,2,4,6]");
    CHECK(at(answer.body, logprobs + "top_logprobs/0") == "null");
    CHECK(at(answer.body, logprobs + "top_logprobs/1") == R"({"b":-0.5,"é":-3})");
    const auto request = fixture.port.generation(fixture.port.submitted(0)).request;
    CHECK(request.sampling.prompt_logprobs == 1U);
    CHECK(request.prompt_group == 0);

    const Answer text = fixture.post("/v1/completions", completion(R"("echo":true)"));
    CHECK(at(text.body, "/choices/0/text") == R"("aéHé x")");
    CHECK_FALSE(fixture.port.generation(fixture.port.submitted(1)).request.sampling.prompt_logprobs);
    const Answer streamed = fixture.post("/v1/completions", completion(R"("echo":true,"stream":true)"));
    std::string pieces;
    const auto data = sse_data(streamed.body);
    for (std::size_t i = 0; i + 1 < data.size(); ++i) pieces += string_at(data[i], "/choices/0/text");
    CHECK(pieces == "aéHé x");
}

TEST_CASE("Echo of a prompt that was cut is the text of what remains") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id, 1);
        port.play(request.id, PromptEvent{"tail", {}, request.sampling.truncate_prompt_tokens == 1});
        port.finish(request.id, FinishReason::stop);
    };
    const std::string head =
        R"({"model":"fake","prompt":"A long tail","echo":true,"truncate_prompt_tokens":)";
    CHECK(at(fixture.post("/v1/completions", head + "1}").body, "/choices/0/text") == R"("tail")");
    CHECK(at(fixture.post("/v1/completions", head + "9}").body, "/choices/0/text") == R"("A long tail")");
}

TEST_CASE("Scoring: echo without a token generated") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer =
        fixture.post("/v1/completions", completion(R"("echo":true,"logprobs":0,"max_tokens":0)"));
    REQUIRE(answer.status == 200);
    CHECK(at(answer.body, "/choices/0/text") == R"("aé")");
    CHECK(at(answer.body, "/choices/0/finish_reason") == R"("length")");
    CHECK(at(answer.body, "/choices/0/logprobs/token_logprobs") == "[null,-3]");
    CHECK(at(answer.body, "/usage/completion_tokens") == "0");
    const Answer refused = fixture.post("/v1/completions", completion(R"("max_tokens":0)"));
    CHECK(refused.status == 400);
    CHECK(has(refused.body, "max_tokens must be at least 1; 0 is allowed with echo or prompt_logprobs"));
}

TEST_CASE("prompt_logprobs, as vLLM writes them") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer = fixture.post("/v1/completions", completion(R"("prompt_logprobs":1)"));
    REQUIRE(answer.status == 200);
    CHECK(at(answer.body, "/choices/0/prompt_logprobs/0") == "null");
    CHECK(
        at(answer.body, "/choices/0/prompt_logprobs/1") ==
        R"({"9":{"logprob":-0.5,"rank":1,"decoded_token":"b"},"8":{"logprob":-3,"rank":4,"decoded_token":"é"}})");
    CHECK(at(answer.body, "/choices/0/text") == R"("Hé x")");
    const Answer streamed =
        fixture.post("/v1/completions", completion(R"("prompt_logprobs":1,"stream":true)"));
    CHECK(streamed.status == 400);
    CHECK(has(streamed.body, "prompt_logprobs is not available when stream is true"));
    const Answer chat = fixture.post(
        "/v1/chat/completions",
        R"({"model":"fake","messages":[{"role":"user","content":"hi"}],"prompt_logprobs":0,"max_tokens":3})");
    CHECK(at(chat.body, "/prompt_logprobs/1/8/rank") == "4");
}

TEST_CASE("The first choice describes the prompt, and the others have it from there") {
    Fixture fixture;
    std::mutex mutex;
    std::vector<GenerationRequest> held;  // the first choice's events come last
    fixture.port.on_submit = [&](FakePort& port, const GenerationRequest& request) {
        const std::lock_guard lock(mutex);
        held.push_back(request);
        if (held.size() < 3) return;
        for (std::size_t i = 3; i-- > 0;) play(port, held[i]);
        held.clear();
    };
    const Answer answer =
        fixture.post("/v1/completions", completion(R"("prompt_logprobs":1,"echo":true,"logprobs":1,"n":3)"));
    REQUIRE(answer.status == 200);
    for (std::size_t i = 0; i < 3; ++i) {
        const auto request = fixture.port.generation(fixture.port.submitted(i)).request;
        CHECK(request.describe_prompt == (i == 0));
        CHECK(request.sampling.prompt_logprobs.has_value() == (i == 0));
        const std::string choice = "/choices/" + std::to_string(i);
        CHECK(at(answer.body, choice + "/text") == R"("aéHé x")");
        CHECK(at(answer.body, choice + "/logprobs/text_offset") == "[0,1,2,4,6]");
        CHECK(at(answer.body, choice + "/prompt_logprobs/1/8/rank") == "4");
    }
    const Answer streamed =
        fixture.post("/v1/completions", completion(R"("echo":true,"logprobs":1,"n":3,"stream":true)"));
    std::array<std::string, 3> texts;
    const auto data = sse_data(streamed.body);
    for (std::size_t i = 0; i + 1 < data.size(); ++i)
        texts.at(std::stoul(at(data[i], "/choices/0/index"))) += string_at(data[i], "/choices/0/text");
    for (const std::string& text : texts) CHECK(text == "aéHé x");
}

TEST_CASE("Log probabilities of the prompt that make the answer too large are refused") {
    Fixture fixture;
    fixture.port.on_submit = [](FakePort& port, const GenerationRequest& request) {
        port.start(request.id, 440);
    };
    const Answer refused =
        fixture.post("/v1/completions", completion(R"("prompt_logprobs":20,"n":128,"max_tokens":1)"));
    CHECK(refused.status == 400);
    CHECK(string_at(refused.body, "/error/param") == "prompt_logprobs");
    CHECK(has(refused.body, "more than 524288"));
    for (std::size_t i = 0; i < 128; ++i) CHECK(fixture.port.wait_for_detach(fixture.port.submitted(i)));
    const Answer echo =
        fixture.post("/v1/completions", completion(R"("echo":true,"logprobs":20,"n":128,"stream":true)"));
    CHECK(echo.status == 400);
    CHECK(string_at(echo.body, "/error/param") == "logprobs");
}

TEST_CASE("Usage in every chunk, if that is asked for") {
    Fixture fixture;
    fixture.port.on_submit = play;
    const Answer answer = fixture.post(
        "/v1/completions",
        completion(R"("stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true})"));
    const auto data = sse_data(answer.body);
    REQUIRE(data.size() >= 3);
    for (std::size_t i = 0; i + 1 < data.size(); ++i) CHECK(at(data[i], "/usage/prompt_tokens") == "2");
    CHECK(at(data[data.size() - 2], "/usage/completion_tokens") == "3");
}
