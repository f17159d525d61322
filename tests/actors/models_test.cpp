// Several models in one server: each request goes to its own, and what happens to one is nothing to the
// others.
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105};

GenerationRequest request_for(const std::string& model, const std::string& id, std::uint32_t max_tokens) {
    auto request = TroupeFixture::request(id, prompt, max_tokens);
    request.model = model;
    return request;
}

}  // namespace

TEST_CASE("a request runs on the model that it names") {
    TroupeFixture troupe;
    int fake_steps = 0, other_steps = 0;
    troupe.options.backend = fake_backend(64, [&](const ForwardBatch&) { ++fake_steps; });
    auto& other = troupe.add_model("other");
    other.backend = fake_backend(64, [&](const ForwardBatch&) { ++other_steps; });
    troupe.start();
    auto reader = troupe.submit(request_for("other", "1", 6));
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->finished->ids == TroupeFixture::expected(prompt, 6));
    CHECK(fake_steps == 0);
    CHECK(other_steps >= 6);
    CHECK(other.status->metrics.snapshot().counters.at("generation_tokens_total") == 6);
    CHECK(troupe.counter("generation_tokens_total") == 0);

    auto lost = troupe.submit(request_for("third", "2", 6));
    troupe.simulation.run();
    REQUIRE(lost->finished);
    CHECK(lost->finished->error->code == ErrorCode::not_found);
    CHECK(lost->finished->error->tag == "model_not_found");
}

TEST_CASE("ids and retention span the models, places for requests do not") {
    TroupeFixture troupe;
    troupe.max_live = 1;
    troupe.max_retained = 1;
    troupe.add_model("other").backend = fake_backend(64, {});
    troupe.start();
    auto first = request_for("fake", "1", 4), second = request_for("other", "2", 4);
    first.retention = second.retention = Retention::stored;
    auto a = troupe.submit(first), b = troupe.submit(second), c = troupe.submit(request_for("other", "3", 4));
    auto d = troupe.submit(request_for("other", "1", 4));
    while (!a->finished || !b->finished) REQUIRE(troupe.simulation.step());
    REQUIRE(c->finished);
    CHECK(c->finished->error->tag == "queue_full");  // b has the only place of that model
    REQUIRE(d->finished);
    CHECK(d->finished->error);
    troupe.simulation.run();
    CHECK(troupe.lookup("1").id.empty());  // one is kept in all, the last that ended
    CHECK(troupe.lookup("2").output.text == b->text);
    auto again = troupe.submit(request_for("fake", "2", 4));
    troupe.simulation.run();
    CHECK(again->finished->error->param == "id");
}

TEST_CASE("a model whose worker dies disturbs no other") {
    TroupeFixture troupe;
    troupe.options.fault = {3, 9};
    auto& other = troupe.add_model("other");
    other.fault = {};
    troupe.start();
    auto disturbed = troupe.submit(request_for("fake", "1", 20));
    auto other_reader = troupe.submit(request_for("other", "2", 20));
    troupe.simulation.run();  // no time passes: whoever waits for a restart goes on waiting
    CHECK_FALSE(disturbed->finished);
    CHECK(troupe.options.status->state() == ServerState::no_worker);
    REQUIRE(other_reader->finished);
    CHECK(other_reader->finished->ids == TroupeFixture::expected(prompt, 20));
    troupe.simulation.advance(10s);
    REQUIRE(disturbed->finished);
    CHECK(disturbed->finished->ids == TroupeFixture::expected(prompt, 20));
    CHECK(troupe.counter("worker_restarts_total") > 0);
    CHECK(other.status->metrics.snapshot().counters.at("worker_restarts_total") == 0);
    CHECK(other.status->last_step > 0);
}

TEST_CASE("a model without any worker left fails alone; the server gives up with the last") {
    TroupeFixture troupe;
    troupe.options.fault = {3, 8};  // the request goes on after each death: it is not to blame
    troupe.options.supervision.restart_budget = 1;
    auto& other = troupe.add_model("other");
    other.fault = {};
    bool other_dies = false;
    const auto device = [&](const auto&...) {
        if (other_dies) throw std::runtime_error("no device");
    };
    other.backend = fake_backend(64, device);
    other.backend.make_pool = [device, make = other.backend.make_pool] {
        device();
        return make();
    };
    troupe.start();
    auto failed = troupe.submit(request_for("fake", "1", 40));
    auto lives = troupe.submit(request_for("other", "2", 20));
    troupe.simulation.advance(10s);
    REQUIRE(failed->finished);
    REQUIRE(failed->finished->error);
    CHECK(failed->finished->error->code == ErrorCode::unavailable);
    CHECK(failed->finished->error->message.find("no worker") != std::string::npos);
    CHECK(troupe.options.status->state() == ServerState::failed);
    auto late = troupe.submit(request_for("fake", "3", 4));
    auto more = troupe.submit(request_for("other", "4", 4));
    troupe.simulation.run();
    CHECK(late->finished->error->tag == "model_failed");
    CHECK(lives->finished->ids == TroupeFixture::expected(prompt, 20));
    CHECK(more->finished->ids == TroupeFixture::expected(prompt, 4));
    CHECK(troupe.gave_up.empty());

    other_dies = true;
    auto last = troupe.submit(request_for("other", "5", 4));
    troupe.simulation.advance(10s);
    REQUIRE(last->finished);
    CHECK(last->finished->error->tag == "model_failed");
    CHECK(troupe.gave_up.find("--restart-budget") != std::string::npos);
}

TEST_CASE("each model has its own tokenizer") {
    TroupeFixture troupe;
    auto small = std::make_shared<LoadedModel>(*TroupeFixture::test_model());
    small->spec.vocab_size = 300;  // refuses what the other takes
    auto& other = troupe.add_model("other");
    other.model = small;
    troupe.start();
    auto tokenize = [&](const std::string& model, TokenId id) {
        std::optional<Result<std::vector<TokenId>>> answer;
        const SharedPrompt text(TokenPrompt{{id}});
        caf::anon_send(troupe.router_actor, TokenizeText{model, text.watch()},
                       IdsReply{[&](Result<std::vector<TokenId>> result) { answer = std::move(result); }});
        troupe.simulation.run();
        REQUIRE(answer);
        return *answer;
    };
    CHECK(tokenize("fake", 400).ok());
    CHECK(tokenize("other", 200).ok());
    CHECK(tokenize("other", 400).error().code == ErrorCode::invalid_argument);
    CHECK(tokenize("third", 200).error().tag == "model_not_found");
}
