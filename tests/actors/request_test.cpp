// The life of a request: admission, readers that come and go, ends of every kind.
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105};

// A gate before each step: a test lets as many steps through as it wants, then looks around.
struct Gate {
    int steps = 0;
    std::function<void()> at;  // called before each step
    FakeBackend::Hook hook() {
        return [this](const ForwardBatch&) {
            ++steps;
            if (at) at();
        };
    }
};

}  // namespace

TEST_CASE("a stop string ends the output before it, also across tokens") {
    TroupeFixture troupe;
    troupe.start();
    auto whole = troupe.submit(TroupeFixture::request("whole", prompt, 20));
    troupe.simulation.run();
    REQUIRE(whole->finished);
    REQUIRE(whole->text.size() > 12);
    for (std::size_t begin = 1; begin + 4 < whole->text.size(); ++begin) {
        auto stop = whole->text.substr(begin, 4);
        auto request = TroupeFixture::request("s" + std::to_string(begin), prompt, 20);
        request.sampling.stop = {"never in there", stop};
        auto reader = troupe.submit(request);
        troupe.simulation.run();
        CAPTURE(stop);
        REQUIRE(reader->finished);
        CHECK(reader->finished->reason == FinishReason::stop);
        CHECK(reader->text == whole->text.substr(0, whole->text.find(stop)));
        CHECK(reader->finished->usage.completion_tokens == reader->finished->ids.size());
    }
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("a stop string can stay in the output, and is not looked for before min_tokens") {
    TroupeFixture troupe;
    troupe.start();
    auto whole = troupe.submit(TroupeFixture::request("whole", prompt, 20));
    troupe.simulation.run();
    auto request = TroupeFixture::request("kept", prompt, 20);
    request.sampling.stop = {whole->text.substr(5, 4)};
    request.sampling.include_stop = true;
    auto kept = troupe.submit(request);
    request.id = "late";
    request.sampling.min_tokens = 20;
    auto late = troupe.submit(request);
    troupe.simulation.run();
    const auto end = whole->text.find(request.sampling.stop[0]) + 4;
    CHECK(kept->text == whole->text.substr(0, end));
    CHECK(kept->finished->reason == FinishReason::stop);
    CHECK(late->text == whole->text);
    CHECK(late->finished->reason == FinishReason::length);
}

TEST_CASE("sampling parameters that cannot be served are refused by name") {
    TroupeFixture troupe;
    troupe.start();
    auto bias = TroupeFixture::request("bias", prompt, 20);
    bias.sampling.logit_bias = {{1, 1.0F}, {512, 1.0F}};
    auto longer = TroupeFixture::request("longer", prompt, 20);
    longer.sampling.min_tokens = 21;
    const auto bias_reader = troupe.submit(bias), longer_reader = troupe.submit(longer);
    troupe.simulation.run();
    REQUIRE(bias_reader->finished);
    CHECK(bias_reader->finished->error->param == "logit_bias");
    REQUIRE(longer_reader->finished);
    CHECK(longer_reader->finished->error->param == "min_tokens");
}

TEST_CASE("one more than there are places is refused, and a place that frees is given again") {
    TroupeFixture troupe;
    troupe.max_live = 2;
    troupe.start();
    auto first = troupe.submit(TroupeFixture::request("1", prompt, 4));
    auto second = troupe.submit(TroupeFixture::request("2", prompt, 4));
    auto third = troupe.submit(TroupeFixture::request("3", prompt, 4));
    troupe.simulation.run();
    CHECK(first->finished->reason == FinishReason::length);
    CHECK(second->finished->reason == FinishReason::length);
    REQUIRE(third->finished);
    CHECK(third->finished->error->code == ErrorCode::resource_exhausted);
    auto again = troupe.submit(TroupeFixture::request("3", prompt, 4));
    troupe.simulation.run();
    CHECK(again->finished->reason == FinishReason::length);
}

TEST_CASE("draining finishes what runs and refuses what comes") {
    TroupeFixture troupe;
    troupe.start();
    auto running = troupe.submit(TroupeFixture::request("1", prompt, 40));
    while (running->next < 3) REQUIRE(troupe.simulation.step());
    bool drained = false;
    caf::anon_send(troupe.router_actor, Drain{}, DoneReply{[&] { drained = true; }});
    auto late = troupe.submit(TroupeFixture::request("2", prompt, 4));
    while (!late->finished) REQUIRE(troupe.simulation.step());
    CHECK(late->finished->error->code == ErrorCode::unavailable);
    CHECK_FALSE(drained);
    troupe.simulation.run();
    CHECK(running->finished->ids == TroupeFixture::expected(prompt, 40));
    CHECK(drained);
}

TEST_CASE("a reader that goes away frees its sequence within two steps") {
    Gate gate;
    TroupeFixture troupe;
    troupe.options.backend = fake_backend(64, gate.hook());
    troupe.start();
    auto reader = troupe.submit(TroupeFixture::request("1", prompt, 200));
    auto other = troupe.submit(TroupeFixture::request("2", prompt, 30));
    while (reader->next < 5) REQUIRE(troupe.simulation.step());
    auto told = GENERATE(true, false);
    if (told) caf::anon_send(troupe.router_actor, DetachReader{"1"}, SinkHandle{reader});
    if (!told) reader.reset();  // noticed when its next token is due
    auto steps = gate.steps;
    while (troupe.gauge("num_requests_running") == 2) REQUIRE(troupe.simulation.step());
    CHECK(gate.steps <= steps + 2);
    troupe.simulation.run();
    CHECK(other->finished->ids == TroupeFixture::expected(prompt, 30));
    CHECK(troupe.lookup("1").id.empty());
}

TEST_CASE("a stored response outlives its reader by the grace, a background one does not need any") {
    TroupeFixture troupe;
    auto retention = GENERATE(Retention::stored, Retention::background);
    troupe.options.backend = fake_backend(64);
    troupe.start();
    auto request = TroupeFixture::request("resp", prompt, 100);
    request.retention = retention;
    request.record = "mine";
    auto reader = troupe.submit(request);
    while (reader->next < 5) REQUIRE(troupe.simulation.step());
    reader.reset();
    troupe.simulation.run();
    auto snapshot = troupe.lookup("resp");
    CHECK(snapshot.status == GenerationStatus::incomplete);  // ended by its length
    CHECK(snapshot.record == "mine");
    CHECK(snapshot.usage.completion_tokens == 100);
    troupe.simulation.advance(599s);
    CHECK(troupe.lookup("resp").id == "resp");
    troupe.simulation.advance(1s);
    CHECK(troupe.lookup("resp").id.empty());
}

TEST_CASE("a stored response that nobody reads is cancelled when the grace is over") {
    TroupeFixture troupe;
    troupe.options.fault = {6, 0};
    troupe.options.supervision.restart_backoff_ms = 100000;  // no worker for longer than the grace
    troupe.options.supervision.restart_backoff_max_ms = 100000;
    troupe.start();
    auto request = TroupeFixture::request("resp", prompt, 100);
    request.retention = Retention::stored;
    auto reader = troupe.submit(request);
    troupe.simulation.run();
    caf::anon_send(troupe.router_actor, DetachReader{"resp"}, SinkHandle{reader});
    troupe.simulation.advance(29s);
    CHECK(troupe.lookup("resp").status == GenerationStatus::in_progress);
    auto stays = GENERATE(true, false);
    auto second = std::make_shared<Reader>();
    second->next = reader->next;
    if (stays)
        caf::anon_send(troupe.router_actor, AttachReader{"resp", second->next}, SinkHandle{second},
                       StatusReply{[](Status) {}});
    troupe.simulation.advance(1s);
    CHECK(troupe.lookup("resp").status ==
          (stays ? GenerationStatus::in_progress : GenerationStatus::cancelled));
    troupe.simulation.advance(100s);
    if (stays) {
        REQUIRE(second->finished);
        CHECK(second->finished->ids == TroupeFixture::expected(prompt, 100));
    }
}

TEST_CASE("a reader resumes after any text, and nothing is lost or repeated") {
    TroupeFixture troupe;
    troupe.start();
    auto request = TroupeFixture::request("resp", prompt, 30);
    request.retention = Retention::stored;
    auto first = troupe.submit(request);
    auto during = std::make_shared<Reader>();
    while (first->next < 7) REQUIRE(troupe.simulation.step());
    auto seen = first->text;
    during->next = first->next;
    bool attached = false;
    caf::anon_send(troupe.router_actor, AttachReader{"resp", during->next}, SinkHandle{during},
                   StatusReply{[&](Status status) { attached = status.ok(); }});
    // The old connection is noticed only now: it must not take the new reader away.
    caf::anon_send(troupe.router_actor, DetachReader{"resp"}, SinkHandle{first});
    while (!attached) REQUIRE(troupe.simulation.step());
    troupe.simulation.run();
    REQUIRE(first->finished);
    CHECK(first->finished->error->tag == "reader_replaced");
    REQUIRE(during->finished);
    auto whole = troupe.lookup("resp").output.text;
    CHECK(seen + during->text == whole);
    for (std::uint64_t from = 0; from <= during->finished->index; ++from) {
        auto late = std::make_shared<Reader>();
        late->next = from;
        caf::anon_send(troupe.router_actor, AttachReader{"resp", from}, SinkHandle{late},
                       StatusReply{[](Status) {}});
        troupe.simulation.run();
        REQUIRE(late->finished);
        CHECK(whole.substr(whole.size() - late->text.size()) == late->text);
        CHECK(late->next == late->finished->index);
        if (from == 0) CHECK(late->text == whole);
    }
}

TEST_CASE("unknown ids are not found") {
    TroupeFixture troupe;
    troupe.start();
    int answers = 0;
    auto expect_not_found = [&](const auto& result) {
        ++answers;
        CHECK(result.error().code == ErrorCode::not_found);
    };
    auto sink = std::make_shared<Reader>();
    caf::anon_send(troupe.router_actor, LookupRequest{"x"}, SnapshotReply{expect_not_found});
    caf::anon_send(troupe.router_actor, CancelRequest{"x"}, SnapshotReply{expect_not_found});
    caf::anon_send(troupe.router_actor, AttachReader{"x", 0}, SinkHandle{sink},
                   StatusReply{expect_not_found});
    troupe.simulation.run();
    CHECK(answers == 3);
}

TEST_CASE("another tenant's request is not found, running or ended; its own client finds it") {
    TroupeFixture troupe;
    troupe.start();
    auto request = TroupeFixture::request("r", prompt, 20);
    request.retention = Retention::stored;
    request.tenant = 7;
    auto reader = troupe.submit(request);
    while (reader->next < 2) REQUIRE(troupe.simulation.step());
    const auto ask = [&](const std::string& id, std::uint64_t tenant) {
        std::vector<std::string> refusals;
        auto keep = [&](const auto& result) {
            if (!result.ok()) refusals.push_back(result.error().message);
        };
        auto sink = std::make_shared<Reader>();
        caf::anon_send(troupe.router_actor, LookupRequest{id, tenant}, SnapshotReply{keep});
        caf::anon_send(troupe.router_actor, CancelRequest{id, tenant}, SnapshotReply{keep});
        caf::anon_send(troupe.router_actor, AttachReader{id, 0, tenant}, SinkHandle{sink}, StatusReply{keep});
        for (int i = 0; i < 20; ++i) troupe.simulation.step();
        CHECK(sink->started == refusals.empty());
        return refusals;
    };
    const auto refusals = ask("r", 8);
    REQUIRE(refusals.size() == 3);
    auto of_unknown = ask("s", 8).front();
    CHECK(refusals.front() == of_unknown.replace(of_unknown.find("'s'"), 3, "'r'"));
    CHECK(ask("r", 0).size() == 3);
    troupe.simulation.run();
    REQUIRE(reader->finished);  // neither cancelled nor taken over
    CHECK(reader->finished->reason == FinishReason::length);
    CHECK(ask("r", 8).size() == 3);
    CHECK(ask("r", 7).empty());
}

TEST_CASE("a question to a request that ends meanwhile is answered all the same") {
    TroupeFixture troupe;
    troupe.start();
    auto answers = std::make_shared<int>(0);
    int asked = 0;
    auto reader = troupe.submit(TroupeFixture::request("r", prompt, 3));
    for (; asked < 300; ++asked) {  // at every moment of its life, and after it
        caf::anon_send(troupe.router_actor, LookupRequest{"r"},
                       SnapshotReply{[answers](Result<GenerationSnapshot>) { ++*answers; }});
        for (int i = 0; i < 3; ++i) troupe.simulation.step();
    }
    troupe.stop();
    CHECK(reader->finished);
    CHECK(*answers == asked);
}

TEST_CASE("when there will be no worker any more, every request is told") {
    TroupeFixture troupe;
    troupe.start();
    auto running = troupe.submit(TroupeFixture::request("1", prompt, 200));
    while (running->next < 3) REQUIRE(troupe.simulation.step());
    caf::anon_send(troupe.router_actor, AbortRequests{Error{ErrorCode::unavailable, "no worker", {}, {}}});
    auto late = troupe.submit(TroupeFixture::request("2", prompt, 4));
    troupe.simulation.run();
    REQUIRE(running->finished);
    REQUIRE(late->finished);
    CHECK(running->finished->error->message == "no worker");
    CHECK(late->finished->error->message == "no worker");
    CHECK(troupe.counter("requests_refused_total") == 1);
}

TEST_CASE("an explicit max_tokens that cannot fit is refused, an absent one takes the rest") {
    TroupeFixture troupe;
    troupe.options.scheduler.num_blocks = 8;  // 33 tokens: the last needs no KV
    troupe.options.backend = fake_backend(8);
    troupe.start();
    auto too_much = troupe.submit(TroupeFixture::request("1", prompt, 29));
    auto all = troupe.submit(TroupeFixture::request("2", prompt, 28));
    auto absent = TroupeFixture::request("3", prompt, 0);
    absent.sampling.max_tokens.reset();
    auto rest = troupe.submit(absent);
    troupe.simulation.run();
    REQUIRE(too_much->finished->error);
    CHECK(too_much->finished->error->param == "max_tokens");
    CHECK(too_much->finished->error->message.find("--kv-blocks") != std::string::npos);
    CHECK(all->finished->ids.size() == 28);
    CHECK(rest->finished->ids.size() == 28);
}

TEST_CASE("cancelling ends a request at once, and answers with what there is") {
    TroupeFixture troupe;
    troupe.start();
    auto request = TroupeFixture::request("resp", prompt, 200);
    request.retention = Retention::background;
    auto reader = troupe.submit(request);
    while (reader->next < 5) REQUIRE(troupe.simulation.step());
    std::optional<GenerationSnapshot> answer;
    caf::anon_send(troupe.router_actor, CancelRequest{"resp"},
                   SnapshotReply{[&](Result<GenerationSnapshot> result) { answer = *result; }});
    troupe.simulation.run();
    REQUIRE(answer);
    CHECK(answer->status == GenerationStatus::cancelled);
    CHECK(answer->output.text == reader->text);
    CHECK(reader->finished->reason == FinishReason::cancelled);
    CHECK(troupe.gauge("num_requests_running") == 0);
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("steering ends a request with what its reader has seen, and it is remembered as steered") {
    std::vector<std::string> whole;  // its text after each event
    {
        TroupeFixture troupe;
        troupe.start();
        auto reader = troupe.submit(TroupeFixture::request("whole", prompt, 60));
        std::uint64_t seen = 0;
        while (troupe.simulation.step()) {
            if (std::exchange(seen, reader->next) != reader->next) whole.push_back(reader->text);
        }
    }
    REQUIRE(whole.size() > 20);
    for (std::size_t i = 0; i < 20; ++i) {
        CAPTURE(i);
        TroupeFixture troupe;
        troupe.start();
        auto request = TroupeFixture::request("resp", prompt, 60);
        request.retention = Retention::stored;
        auto reader = troupe.submit(request);
        while (reader->text != whole[i]) REQUIRE(troupe.simulation.step());
        for (int step = 0; step < 3; ++step) troupe.simulation.step();  // what may be held back
        const std::string seen = reader->text;
        CancelRequest steer{"resp"};
        steer.reason = FinishReason::steered;
        caf::anon_send(troupe.router_actor, steer, SnapshotReply{[](const Result<GenerationSnapshot>&) {}});
        troupe.simulation.run();
        REQUIRE(reader->finished);
        CHECK(reader->finished->reason == FinishReason::steered);
        CHECK(std::count(whole.begin(), whole.end(), reader->text) == 1);
        CHECK(reader->text.starts_with(seen));
        const auto snapshot = troupe.lookup("resp");
        CHECK(snapshot.status == GenerationStatus::incomplete);
        CHECK(snapshot.reason == FinishReason::steered);
        CHECK(snapshot.output.text == reader->text);
        CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
    }
}

TEST_CASE("the oldest retained results make room") {
    TroupeFixture troupe;
    troupe.start();
    for (int i = 0; i < 6; ++i) {
        auto request = TroupeFixture::request("r" + std::to_string(i), prompt, 2);
        request.retention = Retention::stored;
        auto reader = troupe.submit(request);
        troupe.simulation.run();
        CHECK(reader->finished);
    }
    CHECK(troupe.lookup("r1").id.empty());
    for (int i = 2; i < 6; ++i) CHECK(troupe.lookup("r" + std::to_string(i)).id == "r" + std::to_string(i));
}

TEST_CASE("retained results are bounded in bytes, too") {
    TroupeFixture troupe;
    troupe.max_retained_bytes = 11000;
    troupe.start();
    for (int i = 0; i < 4; ++i) {
        auto request = TroupeFixture::request("r" + std::to_string(i), prompt, 2);
        request.retention = Retention::stored;
        request.record = std::string(1000, 'x');
        auto reader = troupe.submit(request);
        troupe.simulation.run();
        CHECK(reader->finished);
        CHECK(troupe.server_status->responses_retained == static_cast<std::size_t>(std::min(i + 1, 2)));
        CHECK(troupe.server_status->responses_retained_bytes <= 11000);
    }
    CHECK(troupe.lookup("r1").id.empty());
    CHECK(troupe.lookup("r2").id == "r2");
    troupe.simulation.advance(601s);
    CHECK(troupe.server_status->responses_retained == 0);
    CHECK(troupe.server_status->responses_retained_bytes == 0);
}

TEST_CASE("a text that cannot fit the context is refused before it is tokenized") {
    TroupeFixture troupe;
    troupe.start();
    auto request = TroupeFixture::request("1", {}, 2);
    request.prompt = TextPrompt{std::string(1U << 20, 'a')};
    auto reader = troupe.submit(request);
    troupe.simulation.run();
    REQUIRE(reader->finished);
    CHECK(reader->finished->error->tag == "context_length_exceeded");
    CHECK(reader->finished->error->message.find("bytes") != std::string::npos);
}

TEST_CASE("a deadline that passes before the first token fails the request alone") {
    TroupeFixture troupe;
    troupe.options.fault = {1, 0};
    troupe.options.supervision.restart_backoff_ms = 5000;
    troupe.start();
    auto hurried = TroupeFixture::request("1", prompt, 10);
    hurried.deadline_ms = 3000;
    auto late = troupe.submit(hurried);
    auto patient = troupe.submit(TroupeFixture::request("2", prompt, 10));
    troupe.simulation.advance(2999ms);
    CHECK_FALSE(late->finished);
    troupe.simulation.advance(1ms);
    REQUIRE(late->finished);
    CHECK(late->finished->error->code == ErrorCode::timed_out);
    CHECK(late->finished->error->tag == "deadline_exceeded");
    troupe.simulation.advance(3s);
    CHECK(patient->finished->ids == TroupeFixture::expected(prompt, 10));
}

TEST_CASE("what cannot fit is refused with the reason, before it costs anybody anything") {
    TroupeFixture troupe;
    troupe.options.scheduler.num_blocks = 8;  // 32 tokens
    troupe.options.backend = fake_backend(8);
    troupe.start();
    auto context = troupe.submit(TroupeFixture::request("1", std::vector<TokenId>(300, 101), 10));
    auto pool = troupe.submit(TroupeFixture::request("2", std::vector<TokenId>(40, 101), 10));
    auto unknown = troupe.submit(TroupeFixture::request("3", {101, 512}, 10));
    auto empty = troupe.submit(TroupeFixture::request("4", {}, 10));
    auto fine = troupe.submit(TroupeFixture::request("5", prompt, 10));
    troupe.simulation.run();
    CHECK(context->finished->error->tag == "context_length_exceeded");
    CHECK(pool->finished->error->message.find("--kv-blocks") != std::string::npos);
    CHECK(unknown->finished->error->message.find("512") != std::string::npos);
    CHECK(empty->finished->error->code == ErrorCode::invalid_argument);
    CHECK(fine->finished->ids == TroupeFixture::expected(prompt, 10));
}
