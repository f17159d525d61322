// Log probabilities on their way to the reader: of every token once, with its text, whatever is held back,
// cut off, recomputed or lost on the way.
#include <algorithm>

#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105, 106, 107};

GenerationRequest with_logprobs(const std::string& id, std::uint32_t max_tokens) {
    auto request = TroupeFixture::request(id, prompt, max_tokens);
    request.sampling.logprobs = 2;
    return request;
}

GenerationRequest with_prompt(const std::string& id, std::uint32_t max_tokens) {
    auto request = with_logprobs(id, max_tokens);
    request.sampling.prompt_logprobs = 1;
    request.describe_prompt = true;
    return request;
}

// Those of ids[first, last), which follow on prompt[0, ...).
std::vector<PositionLogprobs> expected(const std::vector<TokenId>& ids, std::size_t first, std::size_t last,
                                       std::int32_t top) {
    std::vector<PositionLogprobs> made;
    for (std::size_t i = first; i < last; ++i) {
        const std::vector<TokenId> before(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i));
        made.push_back(FakeBackend::logprobs_of(before, ids[i], top));
    }
    return made;
}

void check_equal(const std::vector<TextLogprobs>& actual, const std::vector<PositionLogprobs>& wanted) {
    REQUIRE(actual.size() == wanted.size());
    const auto& tokenizer = *TroupeFixture::test_model()->tokenizer;
    for (std::size_t i = 0; i < actual.size(); ++i)
        CHECK(actual[i] == as_text(tokenizer, wanted[i], actual[i].offset));
}

std::vector<TokenId> whole(const FinishedEvent& finished) {
    auto ids = prompt;
    ids.insert(ids.end(), finished.ids.begin(), finished.ids.end());
    return ids;
}

}  // namespace

TEST_CASE("every generated token has its logprobs, and its text begins at its offset") {
    TroupeFixture troupe;
    troupe.start();
    auto reader = troupe.submit(with_logprobs("1", 30));
    auto without = troupe.submit(TroupeFixture::request("2", prompt, 30));
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->text == without->text);
    CHECK(without->logprobs.empty());
    check_equal(reader->logprobs, expected(whole(*reader->finished), prompt.size(), prompt.size() + 30, 2));
    for (const auto& entry : reader->logprobs) {
        std::size_t bytes = 0;  // of offset characters
        for (std::uint32_t i = 0; i < entry.offset || (reader->text[bytes] & 0xC0) == 0x80; ++bytes)
            i += (reader->text[bytes] & 0xC0) != 0x80 ? 1 : 0;
        // The token before may have left half a character, which shows as U+FFFD when this one comes.
        while (reader->text.compare(bytes, 3, "\xEF\xBF\xBD") == 0) bytes += 3;
        const auto& text = entry.token.bytes;
        const bool ascii = std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
        if (ascii) CHECK(reader->text.substr(bytes, text.size()) == text);
    }
}

TEST_CASE("tokens behind a stop string have no logprobs, held back ones have theirs once") {
    TroupeFixture troupe;
    troupe.start();
    auto all = troupe.submit(with_logprobs("all", 20));
    troupe.simulation.run();
    for (std::size_t begin = 1; begin + 4 < all->text.size(); ++begin) {
        auto request = with_logprobs("s" + std::to_string(begin), 20);
        request.sampling.stop = {all->text.substr(begin, 4), "never in there"};
        auto reader = troupe.submit(request);
        troupe.simulation.run();
        CAPTURE(request.sampling.stop[0]);
        const auto end = count_characters(reader->text);
        std::vector<TextLogprobs> visible;
        for (const auto& entry : all->logprobs) {
            if (entry.offset < end) visible.push_back(entry);
        }
        CHECK(reader->logprobs == visible);
    }
}

TEST_CASE("the prompt is described before the first text, however it was cut") {
    for (const std::uint32_t budget : {1U, 3U, 16U}) {
        TroupeFixture troupe;
        troupe.options.scheduler.max_num_batched_tokens = budget;
        troupe.start();
        auto reader = troupe.submit(with_prompt("1", 5));
        auto other = troupe.submit(TroupeFixture::request("2", prompt, 9));
        troupe.simulation.run();
        REQUIRE(reader->finished);
        REQUIRE(reader->prompt);
        CHECK_FALSE(other->prompt);
        CHECK(reader->prompt->text == troupe.test_model()->tokenizer->decode(prompt));
        REQUIRE(reader->prompt->logprobs.size() == prompt.size());
        CHECK(reader->prompt->logprobs[0].rank == 0);
        CHECK(reader->prompt->logprobs[0].token.id == prompt[0]);
        auto entries = reader->prompt->logprobs;
        entries.erase(entries.begin());
        check_equal(entries, expected(prompt, 1, prompt.size(), 1));
        check_equal(reader->logprobs,
                    expected(whole(*reader->finished), prompt.size(), prompt.size() + 5, 2));
    }
}

TEST_CASE("scoring: max_tokens 0 looks at the prompt only") {
    TroupeFixture troupe;
    troupe.start();
    auto reader = troupe.submit(with_prompt("1", 0));
    auto single = with_prompt("2", 0);
    single.prompt = TokenPrompt{{101}};
    auto one = troupe.submit(single);
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->finished->reason == FinishReason::length);
    CHECK(reader->finished->usage.completion_tokens == 0);
    CHECK(reader->finished->ids.empty());
    CHECK(reader->text.empty());
    CHECK(reader->prompt->logprobs.size() == prompt.size());
    REQUIRE(one->finished);
    CHECK(one->finished->reason == FinishReason::length);
    CHECK(one->prompt->logprobs.size() == 1);
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("any schedule, repeated deaths: logprobs of prompt and output come once and are the same") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        TroupeFixture troupe(seed);
        troupe.options.fault = {3 + seed % 5, 25 + seed % 4};
        troupe.options.supervision.restart_budget = 1000;
        troupe.options.scheduler.num_blocks = 12;
        troupe.options.scheduler.max_model_len = 40;
        troupe.options.scheduler.max_num_batched_tokens = 4;
        troupe.options.backend = fake_backend(12);
        troupe.start();
        std::vector<std::shared_ptr<Reader>> readers;
        for (int i = 0; i < 4; ++i) readers.push_back(troupe.submit(with_prompt(std::to_string(i), 10)));
        troupe.simulation.advance(std::chrono::minutes(10));
        CAPTURE(seed);
        for (const auto& reader : readers) {
            REQUIRE(reader->finished);
            REQUIRE(reader->finished->reason == FinishReason::length);
            REQUIRE(reader->prompt);
            auto entries = reader->prompt->logprobs;
            entries.erase(entries.begin());
            check_equal(entries, expected(prompt, 1, prompt.size(), 1));
            check_equal(reader->logprobs,
                        expected(whole(*reader->finished), prompt.size(), prompt.size() + 10, 2));
        }
    }
}

TEST_CASE("a prompt can be cut to its last tokens") {
    TroupeFixture troupe;
    troupe.options.scheduler.max_model_len = 12;
    troupe.start();
    auto request = TroupeFixture::request("1", prompt, 5);
    request.sampling.truncate_prompt_tokens = 3;
    request.describe_prompt = true;
    auto three = troupe.submit(request);
    request.id = "2";
    std::vector<TokenId> many(100, 120);
    request.prompt = TokenPrompt{many};
    request.sampling.truncate_prompt_tokens = -1;
    auto fitting = troupe.submit(request);
    request.id = "3";
    request.prompt = TokenPrompt{{120, 121}};
    auto uncut = troupe.submit(request);
    troupe.simulation.run();
    CHECK(three->finished->ids == TroupeFixture::expected({105, 106, 107}, 5));
    CHECK(three->finished->usage.prompt_tokens == 3);
    CHECK(three->prompt.value().cut);
    CHECK_FALSE(uncut->prompt.value().cut);
    CHECK(fitting->finished->usage.prompt_tokens == 7);
    CHECK(fitting->finished->reason == FinishReason::length);
}
