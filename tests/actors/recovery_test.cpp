// What the actors promise when things die: the same tokens, for everybody but the culprit.
#include <algorithm>

#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

std::vector<TokenId> prompt_of(int i, int length) {
    std::vector<TokenId> prompt;
    for (int k = 0; k < length; ++k) prompt.push_back(100 + (i * 37 + k * 11) % 256);
    return prompt;
}

bool contains(const ForwardBatch& batch, TokenId id) {
    return std::find(batch.input_ids.begin(), batch.input_ids.end(), id) != batch.input_ids.end();
}

}  // namespace

TEST_CASE("concurrent requests get the tokens of undisturbed runs") {
    TroupeFixture troupe;
    troupe.start();
    std::vector<std::shared_ptr<Reader>> readers;
    for (int i = 0; i < 10; ++i)
        readers.push_back(troupe.submit(
            TroupeFixture::request("r" + std::to_string(i), prompt_of(i, 1 + i * 3), 5 + 3U * i)));
    troupe.simulation.run();
    for (int i = 0; i < 10; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->reason == FinishReason::length);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt_of(i, 1 + i * 3), 5 + 3U * i));
        CHECK(readers[i]->next == readers[i]->finished->index);
    }
    CHECK(troupe.gauge("num_requests_running") == 0);
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("a worker that throws is replaced, and nobody's tokens change") {
    auto steps = GENERATE(1, 2, 5, 9);
    TroupeFixture troupe;
    troupe.options.fault = {static_cast<StepId>(steps), 0};
    troupe.start();
    std::vector<std::shared_ptr<Reader>> readers;
    for (int i = 0; i < 6; ++i)
        readers.push_back(
            troupe.submit(TroupeFixture::request("r" + std::to_string(i), prompt_of(i, 10), 12)));
    troupe.simulation.run();
    CHECK(troupe.options.status->state() == ServerState::no_worker);
    CHECK_FALSE(readers[5]->finished);
    troupe.simulation.advance(99ms);
    CHECK(troupe.options.status->state() == ServerState::no_worker);  // the back-off is 100 ms
    troupe.simulation.advance(1ms);
    CHECK(troupe.options.status->state() == ServerState::ready);
    for (int i = 0; i < 6; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt_of(i, 10), 12));
    }
    CHECK(troupe.counter("worker_restarts_total") == 1);
    CHECK(troupe.gave_up.empty());
}

TEST_CASE("any schedule, repeated deaths: the same tokens") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        TroupeFixture troupe(seed);
        troupe.options.fault = {3 + seed % 5, 9 + seed % 4};  // rare enough that nobody looks like a culprit
        troupe.options.supervision.restart_budget = 1000;
        troupe.options.scheduler.num_blocks = 12;  // preemptions too
        troupe.options.scheduler.max_model_len = 40;
        troupe.options.scheduler.max_steps_in_flight = 1 + seed % 2;
        troupe.options.backend = fake_backend(12);
        troupe.start();
        std::vector<std::shared_ptr<Reader>> readers;
        for (int i = 0; i < 6; ++i) {
            auto request = TroupeFixture::request("r" + std::to_string(i), prompt_of(i, 3 + i * 3), 10);
            if (i > 2) request.sampling.repetition_penalty = 1.2F;  // the fake model checks what they see
            readers.push_back(troupe.submit(std::move(request)));
            if (i % 2 == 0) troupe.simulation.advance(150ms);
        }
        troupe.simulation.advance(std::chrono::minutes(10));
        CAPTURE(seed);
        for (int i = 0; i < 6; ++i) {
            REQUIRE(readers[i]->finished);
            CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt_of(i, 3 + i * 3), 10));
        }
        CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
    }
}

TEST_CASE("a request that kills its worker three times fails alone") {
    constexpr TokenId poison = 99;
    TroupeFixture troupe;
    troupe.options.backend = fake_backend(64, [](const ForwardBatch& batch) {
        if (contains(batch, poison)) throw std::runtime_error("illegal instruction in my own prompt");
    });
    troupe.options.supervision.restart_budget = GENERATE(0U, 1U, 2U);
    troupe.start();
    for (int round = 0; round < 3; ++round) {  // the budget does not suffer: nine deaths
        auto name = std::to_string(round);
        auto before = troupe.submit(TroupeFixture::request("a" + name, prompt_of(1, 8), 9));
        auto culprit = troupe.submit(TroupeFixture::request("b" + name, {101, poison, 103}, 9));
        auto after = troupe.submit(TroupeFixture::request("c" + name, prompt_of(2, 8), 9));
        troupe.simulation.advance(10s);
        REQUIRE(culprit->finished);
        CHECK(culprit->finished->reason == FinishReason::failed);
        CHECK(culprit->finished->error->tag == "worker_crashed_on_request");
        REQUIRE(before->finished);
        REQUIRE(after->finished);
        CHECK(before->finished->ids == TroupeFixture::expected(prompt_of(1, 8), 9));
        CHECK(after->finished->ids == TroupeFixture::expected(prompt_of(2, 8), 9));
    }
    CHECK(troupe.gave_up.empty());
    CHECK(troupe.counter("worker_restarts_total") == 9);
}

TEST_CASE("deaths that no request is to blame for use up the budget once it is known") {
    const std::uint32_t budget = GENERATE(0U, 1U, 3U);
    TroupeFixture troupe;
    troupe.options.fault = {3, 8};  // each death is followed by tokens of all: nobody is a suspect any more
    troupe.options.supervision.restart_budget = budget;
    troupe.start();
    std::vector<std::shared_ptr<Reader>> readers;
    for (int i = 0; i < 2; ++i)
        readers.push_back(troupe.submit(TroupeFixture::request(std::to_string(i), prompt_of(i, 8), 100)));
    troupe.simulation.advance(50s);
    CHECK(troupe.counter("worker_restarts_total") == budget + 1);  // the last death is still on trial
    CHECK(troupe.gave_up.find("--restart-budget") != std::string::npos);
    for (const auto& reader : readers) {
        REQUIRE(reader->finished);
        CHECK(reader->finished->error->tag == "model_failed");
    }
}

TEST_CASE("a worker that cannot live exhausts the restart budget, with growing pauses") {
    TroupeFixture troupe;
    auto attempts = std::make_shared<int>(0);
    troupe.options.backend.make_backend = [attempts](std::shared_ptr<KvPool>) -> std::unique_ptr<Backend> {
        ++*attempts;
        throw std::runtime_error("no device");
    };
    troupe.start();
    CHECK(*attempts == 1);
    for (auto [wait, count] : {std::pair{100ms, 2}, {200ms, 3}, {400ms, 4}, {800ms, 5}, {1600ms, 6}}) {
        troupe.simulation.advance(wait - 1ms);
        CHECK(*attempts == count - 1);
        CHECK(troupe.gave_up.empty());
        troupe.simulation.advance(1ms);
        CHECK(*attempts == count);
    }
    CHECK(troupe.gave_up.find("--restart-budget") != std::string::npos);
    troupe.simulation.advance(std::chrono::hours(1));
    CHECK(*attempts == 6);
    CHECK(troupe.options.status->state() == ServerState::failed);
}

TEST_CASE("a pool that cannot be made is tried again") {
    TroupeFixture troupe;
    auto make_pool = troupe.options.backend.make_pool;
    auto failures = std::make_shared<int>(2);
    troupe.options.backend.make_pool = [=] {
        if ((*failures)-- > 0) throw std::bad_alloc();
        return make_pool();
    };
    troupe.start();
    CHECK(troupe.options.status->state() == ServerState::loading);
    auto reader = troupe.submit(TroupeFixture::request("r", prompt_of(0, 5), 4));
    troupe.simulation.advance(300ms);
    CHECK(troupe.options.status->state() == ServerState::ready);
    REQUIRE(reader->finished);
    CHECK(reader->finished->ids == TroupeFixture::expected(prompt_of(0, 5), 4));
}

TEST_CASE("a replacement that computes otherwise is not trusted") {
    struct Other final : Backend {
        explicit Other(std::string n) : name(std::move(n)) {}
        void execute(const ForwardBatch&, ForwardOutput&) override { throw std::runtime_error("boom"); }
        void copy_blocks(std::span<const BlockCopy>) override {}
        const std::string& numerics() const override { return name; }
        std::string name;
    };
    TroupeFixture troupe;
    auto count = std::make_shared<int>(0);
    troupe.options.backend.make_backend = [count](std::shared_ptr<KvPool>) {
        return std::make_unique<Other>("numerics " + std::to_string(++*count));
    };
    troupe.start();
    auto reader = troupe.submit(TroupeFixture::request("r", prompt_of(0, 5), 4));
    troupe.simulation.advance(1s);
    CHECK(troupe.gave_up.find("numerics 2") != std::string::npos);
    REQUIRE(reader->finished);
    CHECK(reader->finished->error->tag == "model_failed");
}

TEST_CASE("a scheduler that dies loses nothing: requests submit themselves again") {
    TroupeFixture troupe;
    int steps = 0;
    SchedulerActor victim;
    troupe.options.backend = fake_backend(64, [&](const ForwardBatch&) {
        if (++steps == 6) caf::anon_send_exit(victim, caf::exit_reason::kill);
    });
    troupe.start();
    victim = troupe.replica().scheduler;
    std::vector<std::shared_ptr<Reader>> readers;
    for (int i = 0; i < 4; ++i)
        readers.push_back(
            troupe.submit(TroupeFixture::request("r" + std::to_string(i), prompt_of(i, 10), 12)));
    troupe.simulation.advance(1s);
    CHECK(steps > 6);
    for (int i = 0; i < 4; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt_of(i, 10), 12));
    }
    victim = nullptr;
}

TEST_CASE("a frontend that dies takes nobody's request with it") {
    TroupeFixture troupe;
    troupe.options.frontends = 2;
    troupe.start();
    // Killed, not thrown on a prompt: whatever is sent to it before its successor is known must come again.
    caf::anon_send_exit(troupe.replica().frontends[0], caf::exit_reason::kill);
    std::vector<std::shared_ptr<Reader>> readers;
    for (int i = 0; i < 4; ++i) {
        readers.push_back(troupe.submit(TroupeFixture::request(std::to_string(i), prompt_of(i, 5), 4)));
    }
    troupe.simulation.advance(1s);
    for (int i = 0; i < 4; ++i) {
        REQUIRE(readers[i]->finished);
        CHECK(readers[i]->finished->ids == TroupeFixture::expected(prompt_of(i, 5), 4));
    }
}

TEST_CASE("the steps of a replica are numbered across its schedulers") {
    TroupeFixture troupe;
    troupe.start();
    auto first = troupe.submit(TroupeFixture::request("1", prompt_of(0, 5), 4));
    troupe.simulation.run();
    auto before = troupe.options.status->last_step.load();
    CHECK(before >= 4);
    caf::anon_send_exit(troupe.replica().scheduler, caf::exit_reason::kill);
    troupe.simulation.advance(1s);
    auto second = troupe.submit(TroupeFixture::request("2", prompt_of(0, 5), 4));
    troupe.simulation.run();
    CHECK(second->finished->ids == TroupeFixture::expected(prompt_of(0, 5), 4));
    CHECK(troupe.options.status->last_step >= before + 4);
}

TEST_CASE("a deadline that passes while the scheduler is away is not forgotten") {
    TroupeFixture troupe;
    troupe.options.supervision.restart_backoff_ms = 5000;
    troupe.start();
    auto request = TroupeFixture::request("1", prompt_of(0, 5), 200);
    request.deadline_ms = 3000;
    auto reader = troupe.submit(request);
    while (reader->next < 3) REQUIRE(troupe.simulation.step());
    caf::anon_send_exit(troupe.replica().scheduler, caf::exit_reason::kill);
    troupe.simulation.advance(20s);
    REQUIRE(reader->finished);
    REQUIRE(reader->finished->error);
    CHECK(reader->finished->error->code == ErrorCode::timed_out);
}
