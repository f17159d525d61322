// n choices of one prompt: a request actor each, which share the prompt's computation and nothing else.
#include <algorithm>
#include <array>

#include "actors/frontend_actor.hpp"
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105, 106, 107, 108, 109, 110};

std::vector<std::shared_ptr<Reader>> submit_choices(TroupeFixture& troupe, const std::string& id,
                                                    std::uint32_t n, std::uint32_t max_tokens) {
    std::vector<std::shared_ptr<Reader>> readers;
    const SharedPrompt shared(TokenPrompt{prompt});
    for (std::uint32_t i = 0; i < n; ++i) {
        auto request = TroupeFixture::request(id + "-" + std::to_string(i), prompt, max_tokens);
        request.prompt = shared;
        request.choice = i;
        request.prompt_group = 5;
        request.sampling.presence_penalty = 0.5F;  // the fake model checks what it sees of the sequence
        readers.push_back(troupe.submit(std::move(request)));
    }
    return readers;
}

// Answers nothing; keeps what it was asked.
struct Asked {
    std::vector<PrepareRequest> requests;
    std::vector<caf::typed_response_promise<PreparedRequest>> unanswered;
};

FrontendActor::behavior_type silent_frontend(FrontendActor::pointer self,
                                             const std::shared_ptr<Asked>& asked) {
    return {
        [self, asked](const PrepareRequest& message) {
            asked->requests.push_back(message);
            asked->unanswered.push_back(self->make_response_promise<PreparedRequest>());
            return asked->unanswered.back();
        },
        [](const TokenizeText&, const IdsReply&) {},
        [](const DetokenizeIds&, const TextReply&) {},
    };
}

}  // namespace

TEST_CASE("a frontend tokenizes the prompt of a group once, and one that nobody wants not at all") {
    Frontend frontend(TroupeFixture::test_model(), {256, 256});
    std::optional<SharedPrompt> shared(TextPrompt{"Once upon a time"}), other(TextPrompt{"Once"});
    const PrepareRequest first{shared->watch(), {}}, second{other->watch(), {}};
    PrepareRequest cut = first;
    cut.sampling.truncate_prompt_tokens = 2;
    const auto whole = frontend.prepare(first);
    REQUIRE(whole.ok);
    CHECK_FALSE(whole.cut);
    CHECK(frontend.prepare(first).prompt_ids == whole.prompt_ids);
    const auto end = frontend.prepare(cut);
    CHECK(end.cut);
    CHECK(end.prompt_ids == std::vector<TokenId>(whole.prompt_ids.end() - 2, whole.prompt_ids.end()));
    CHECK(frontend.num_tokenized() == 1);
    CHECK(frontend.prepare(second).prompt_ids != whole.prompt_ids);
    CHECK(frontend.num_tokenized() == 2);
    shared.reset();
    CHECK_FALSE(frontend.prepare(first).ok);
    other.reset();
    CHECK_FALSE(frontend.prepare(second).ok);
    CHECK(frontend.num_tokenized() == 2);
}

TEST_CASE("choices wait at one frontend with one prompt, which is gone with the last that wants it") {
    TroupeFixture troupe;
    troupe.options.frontends = 2;
    troupe.start();
    const std::array<std::shared_ptr<Asked>, 2> asked{std::make_shared<Asked>(), std::make_shared<Asked>()};
    for (std::uint32_t i = 0; i < 2; ++i) {
        caf::anon_send(troupe.router_actor, FrontendUp{"fake", i},
                       troupe.simulation.system.spawn(silent_frontend, asked[i]));
    }
    auto readers = submit_choices(troupe, "c", 4, 8);
    troupe.simulation.run();
    const auto& waiting = asked[asked[0]->requests.empty() ? 1 : 0]->requests;
    REQUIRE(waiting.size() == 4);
    CHECK(asked[0]->requests.size() + asked[1]->requests.size() == 4);
    for (const auto& one : waiting) CHECK(one.prompt.lock() == waiting[0].prompt.lock());
    for (std::uint32_t i = 0; i < 4; ++i) {
        CHECK_FALSE(waiting[0].prompt.expired());
        caf::anon_send(troupe.router_actor, DetachReader{"c-" + std::to_string(i)}, SinkHandle{readers[i]});
        troupe.simulation.run();
    }
    CHECK(waiting[0].prompt.expired());
    for (const auto& one : asked) one->unanswered.clear();
}

TEST_CASE("a deadline passes although the prompt has not been read") {
    TroupeFixture troupe;
    troupe.start();
    const auto asked = std::make_shared<Asked>();
    caf::anon_send(troupe.router_actor, FrontendUp{"fake", 0},
                   troupe.simulation.system.spawn(silent_frontend, asked));
    auto request = TroupeFixture::request("late", prompt, 8);
    request.deadline_ms = 3000;
    auto reader = troupe.submit(std::move(request));
    troupe.simulation.advance(3s);
    REQUIRE(asked->requests.size() == 1);
    REQUIRE(reader->finished);
    CHECK(reader->finished->error->code == ErrorCode::timed_out);
    CHECK(reader->finished->error->tag == "deadline_exceeded");
    asked->unanswered.clear();
}

TEST_CASE("choices whose frontend dies are prepared by the next") {
    TroupeFixture troupe;
    troupe.options.frontends = 2;
    troupe.start();
    for (const std::size_t i : {0U, 1U})
        caf::anon_send_exit(troupe.replica().frontends[i], caf::exit_reason::kill);
    const auto readers = submit_choices(troupe, "c", 4, 8);
    troupe.simulation.advance(1s);
    for (std::uint32_t i = 0; i < 4; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt, 8, i));
    }
}

TEST_CASE("n choices compute their prompt once, and each draws for itself") {
    std::size_t computed = 0;
    TroupeFixture troupe;
    troupe.options.backend =
        fake_backend(64, [&](const ForwardBatch& batch) { computed += batch.input_ids.size(); });
    troupe.start();
    const auto readers = submit_choices(troupe, "c", 4, 8);
    troupe.simulation.run();
    for (std::uint32_t i = 0; i < 4; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt, 8, i));
        CHECK(readers[i]->finished->usage.prompt_tokens == prompt.size());
    }
    CHECK(readers[0]->finished->ids != readers[1]->finished->ids);
    CHECK(computed == prompt.size() + 7 + 3 * 8);
    CHECK(troupe.counter("prompt_tokens_total") == prompt.size());
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("choices that are cancelled or lose their reader free what is theirs, the others go on") {
    TroupeFixture troupe;
    troupe.start();
    auto readers = submit_choices(troupe, "c", 4, 40);
    while (readers[3]->next < 3) REQUIRE(troupe.simulation.step());
    caf::anon_send(troupe.router_actor, CancelRequest{"c-0"}, SnapshotReply{});
    readers[2].reset();  // noticed with its next token
    troupe.simulation.run();
    CHECK(readers[0]->finished->reason == FinishReason::cancelled);
    CHECK(readers[1]->finished->ids == TroupeFixture::expected(prompt, 40, 1));
    CHECK(readers[3]->finished->ids == TroupeFixture::expected(prompt, 40, 3));
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
    CHECK(troupe.gauge("num_requests_running") == 0);
}

TEST_CASE("any schedule, repeated deaths, few blocks: choices keep their tokens") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        TroupeFixture troupe(seed);
        troupe.options.fault = {3 + seed % 5, 9 + seed % 4};
        troupe.options.supervision.restart_budget = 1000;
        troupe.options.scheduler.num_blocks = 12;
        troupe.options.scheduler.max_model_len = 40;
        troupe.options.scheduler.max_steps_in_flight = 1 + seed % 2;
        troupe.options.backend = fake_backend(12);
        troupe.start();
        const auto first = submit_choices(troupe, "a", 3, 12);
        const auto second = submit_choices(troupe, "b", 3, 9);
        troupe.simulation.advance(std::chrono::minutes(10));
        CAPTURE(seed);
        for (std::uint32_t i = 0; i < 3; ++i) {
            REQUIRE(first[i]->finished);
            CHECK(first[i]->finished->ids == TroupeFixture::expected(prompt, 12, i));
            REQUIRE(second[i]->finished);
            CHECK(second[i]->finished->ids == TroupeFixture::expected(prompt, 9, i));
        }
        CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
    }
}
