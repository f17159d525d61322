// Texts wait for a frontend: short ones first, long ones not for ever, those that nobody wants not at all.
#include "actors/frontend_queue.hpp"

#include "actors/frontend_actor.hpp"
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

// Asks for the ids of `text`, which is to be kept as long as they are wanted.
using Ids = std::optional<Result<std::vector<TokenId>>>;
void tokenize(TroupeFixture& troupe, const SharedPrompt& text, std::function<void(const Ids&)> done) {
    caf::anon_send(troupe.router_actor, TokenizeText{"fake", text.watch()},
                   IdsReply{[done = std::move(done)](Result<std::vector<TokenId>> ids) { done(ids); }});
}

std::uint32_t waiting(const TroupeFixture& troupe) {
    return troupe.options.status->short_texts_waiting + troupe.options.status->long_texts_waiting;
}

SharedPrompt text_of(std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += "once upon a time ";
    return TextPrompt{text.substr(0, bytes)};
}

}  // namespace

TEST_CASE("the shortest text is next, and a long one when it has waited for its length") {
    FrontendQueue queue;
    std::string order;
    const auto push = [&](TimeUs now, std::size_t bytes, char name, const void* prompt = nullptr) {
        queue.push(now, bytes, {[&order, name] { order += name; }, [&order] { order += '-'; }, prompt});
    };
    const auto run = [&] {
        order.clear();
        while (!queue.empty()) queue.pop().run();
        return order;
    };
    push(0, 1000, 'a');
    push(1, 10, 'b');
    push(2, 0, 'c');
    push(3, 0, 'd');
    CHECK(run() == "cdba");
    push(0, 1000, 'a');
    for (int second = 0; second < 4; ++second) push(second * 5000, 100, static_cast<char>('b' + second));
    CHECK(run() == "bcade");  // those that came 9 ms after it, or later, are behind it
    int one = 0, other = 0;
    push(0, 100, 'a', &one);
    push(50, 100, 'b', &other);
    push(100, 100, 'c', &one);
    push(150, 0, 'd');
    CHECK(run() == "dacb");  // what is of one prompt follows each other
    push(0, 100, 'a', &one);
    push(0, 100, 'b', &other);
    order.clear();
    queue.abandon_all();
    CHECK(order == "--");
    CHECK(queue.empty());
}

TEST_CASE("a long text does not delay the short ones behind it") {
    TroupeFixture troupe;
    troupe.start();
    std::string order;
    const SharedPrompt large = text_of(100'000), larger = text_of(200'000), small = text_of(17'000);
    tokenize(troupe, larger, [&](const Ids& ids) { order += ids->ok() ? 'L' : '?'; });
    tokenize(troupe, large, [&](const Ids& ids) { order += ids->ok() ? 'l' : '?'; });
    tokenize(troupe, small, [&](const Ids& ids) { order += ids->ok() ? 's' : '?'; });
    troupe.simulation.run();
    CHECK(order == "slL");
    CHECK(waiting(troupe) == 0);
}

TEST_CASE("only so many texts wait, and each place is free again after its answer") {
    TroupeFixture troupe;
    troupe.max_texts = 2;
    troupe.start();
    const SharedPrompt text = text_of(20);
    int done = 0, refused = 0;
    const auto count = [&](const Ids& ids) {
        if (ids->ok()) return void(++done);
        CHECK(ids->error().code == ErrorCode::resource_exhausted);
        CHECK(ids->error().tag == "queue_full");
        ++refused;
    };
    for (int i = 0; i < 5; ++i) tokenize(troupe, text, count);
    const SharedPrompt large = text_of(100'000);  // has places of its own
    tokenize(troupe, large, count);
    caf::anon_send(troupe.router_actor,
                   DetokenizeIds{"fake", std::make_shared<const std::vector<TokenId>>(3, 100)},
                   TextReply{[&](const Result<std::string>& answer) { refused += answer ? 0 : 1; }});
    troupe.simulation.run();
    CHECK(done == 3);
    CHECK(refused == 4);
    CHECK(troupe.counter("texts_refused_total") == 4);
    CHECK(waiting(troupe) == 0);
    tokenize(troupe, text, count);
    troupe.simulation.run();
    CHECK(done == 4);
}

TEST_CASE("a text that nobody waits for any more is skipped") {
    TroupeFixture troupe;
    troupe.start();
    auto text = std::make_unique<const SharedPrompt>(text_of(20));
    bool converted = false;
    tokenize(troupe, *text, [&](const Ids& ids) { converted = ids->ok(); });
    text.reset();
    troupe.simulation.run();
    CHECK_FALSE(converted);
    CHECK(waiting(troupe) == 0);
}

TEST_CASE("texts whose frontend dies are answered, and their places are free") {
    TroupeFixture troupe;
    troupe.start();
    const SharedPrompt text = text_of(100'000);
    int failed = 0;
    caf::anon_send_exit(troupe.replica().frontends.back(), caf::exit_reason::kill);
    tokenize(troupe, text, [&](const Ids& ids) { failed += ids->ok() ? 0 : 1; });
    troupe.simulation.advance(1s);
    CHECK(failed == 1);
    CHECK(waiting(troupe) == 0);
    tokenize(troupe, text, [&](const Ids& ids) { failed += ids->ok() ? 0 : 1; });
    troupe.simulation.run();
    CHECK(failed == 1);
}

TEST_CASE("short texts are read apart from the long ones") {
    TroupeFixture troupe;
    troupe.start();
    const SharedPrompt large = text_of(100'000), small = text_of(20);
    caf::anon_send_exit(troupe.replica().frontends.back(), caf::exit_reason::kill);
    int read = 0;
    tokenize(troupe, large, [&](const Ids& ids) { CHECK_FALSE(ids->ok()); });  // that one has gone
    tokenize(troupe, small, [&](const Ids& ids) { read += ids->ok() ? 1 : 0; });
    troupe.simulation.step();
    troupe.simulation.run();
    CHECK(read == 1);
}

TEST_CASE("long prompts are read apart from the short ones, beside /tokenize") {
    TroupeFixture troupe;
    troupe.start();
    auto request = TroupeFixture::request("long", {101}, 4);
    request.prompt = text_of(100'000);  // longer than this model takes, which only the frontend knows
    // Only the last frontend lives: what waits for another one goes on when that has been replaced.
    caf::anon_send_exit(troupe.replica().frontends.front(), caf::exit_reason::kill);
    auto long_one = troupe.submit(request);
    auto short_one = troupe.submit(TroupeFixture::request("short", {101, 102}, 4));
    troupe.simulation.run();
    REQUIRE(long_one->finished);
    CHECK(long_one->finished->error->tag == "context_length_exceeded");
    CHECK_FALSE(short_one->finished);
    troupe.simulation.advance(1s);
    REQUIRE(short_one->finished);
    CHECK(short_one->finished->reason == FinishReason::length);
}

TEST_CASE("the texts that break repetitions become the tokens that hold them") {
    const auto model = TroupeFixture::test_model();
    Frontend frontend(model, {256, 256});
    const SharedPrompt prompt(TokenPrompt{{101}});
    PrepareRequest request{prompt.watch(), {}};
    CHECK(frontend.prepare(request).sampling.dry == DryParams{});
    request.sampling.dry = {0.5F, 2.0F, 3, 50, std::vector<std::string>{"he", "."}};
    const auto dry = frontend.prepare(request).sampling.dry;
    CHECK(dry.multiplier == 0.5F);
    CHECK(dry.base == 2.0F);
    CHECK(dry.allowed_length == 3);
    CHECK(dry.last_n == 50);
    std::vector<TokenId> expected;
    for (TokenId id = 0; id < 512; ++id) {
        const std::string text(model->tokenizer->token_bytes(id));
        if (text.find("he") != text.npos || text.find('.') != text.npos) expected.push_back(id);
    }
    CHECK(expected.size() > 2);
    CHECK(dry.breakers == expected);
    request.sampling.dry.breakers = std::vector<std::string>{".", "no token is as long as this"};
    const auto refused = frontend.prepare(request);
    CHECK_FALSE(refused.ok);
    CHECK(refused.error.param == "dry_sequence_breakers[1]");
    request.sampling.dry.breakers = std::vector<std::string>{};
    CHECK(frontend.prepare(request).sampling.dry.breakers.empty());
    request.sampling.dry.breakers.reset();
    CHECK_FALSE(frontend.prepare(request).sampling.dry.breakers.empty());
}

TEST_CASE("requests in the queue of a frontend that dies are prepared by the next") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        TroupeFixture troupe(seed);
        troupe.start();
        std::vector<std::shared_ptr<Reader>> readers;
        for (int i = 0; i < 5; ++i) {
            readers.push_back(troupe.submit(
                TroupeFixture::request(std::to_string(i), {static_cast<TokenId>(101 + i), 102}, 4)));
        }
        for (std::uint64_t step = 0; step < seed; ++step) troupe.simulation.step();
        caf::anon_send_exit(troupe.replica().frontends.front(), caf::exit_reason::kill);
        troupe.simulation.advance(1s);
        CAPTURE(seed);
        for (int i = 0; i < 5; ++i) {
            REQUIRE(readers[i]->finished);
            CHECK(readers[i]->finished->ids ==
                  TroupeFixture::expected({static_cast<TokenId>(101 + i), 102}, 4));
        }
    }
}
