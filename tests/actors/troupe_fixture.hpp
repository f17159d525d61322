// The actors of one server under virtual time, over the fake model, and a reader that keeps what it is sent.
#pragma once
#include <deque>
#include <memory>
#include <string>

#include "actors/router_actor.hpp"
#include "actors/supervisor_actor.hpp"
#include "test_paths.hpp"
#include "tests/actors/fake_model.hpp"
#include "tests/actors/simulation.hpp"

namespace troupe {

struct Reader final : GenerationSink {
    void deliver(const GenerationEvent& event) override {
        CHECK_FALSE(finished);  // nothing follows the end
        if (const auto* text_event = std::get_if<TextEvent>(&event)) {
            CHECK(text_event->index == next);
            ++next;
            text_tokens = text_event->completion_tokens;
            text += text_event->text;
            logprobs.insert(logprobs.end(), text_event->logprobs.begin(), text_event->logprobs.end());
            CHECK_FALSE(last);
            last = text_event->last;
        } else if (const auto* end = std::get_if<FinishedEvent>(&event)) {
            finished = *end;
            logprobs.insert(logprobs.end(), end->logprobs.begin(), end->logprobs.end());
            if (text_tokens != 0 && text_tokens == end->usage.completion_tokens &&
                end->ids.size() == text_tokens && end->reason != FinishReason::cancelled &&
                end->reason != FinishReason::steered && end->reason != FinishReason::failed) {
                CHECK(last);
            }
        } else if (const auto* described = std::get_if<PromptEvent>(&event)) {
            CHECK_FALSE(prompt);
            CHECK(next == 0);  // it comes before the first text
            prompt = *described;
        } else {
            started = true;
        }
    }
    bool started = false, last = false;
    std::uint32_t text_tokens = 0;
    std::uint64_t next = 0;
    std::string text;
    std::optional<PromptEvent> prompt;
    std::vector<TextLogprobs> logprobs;  // of all events together
    std::optional<FinishedEvent> finished;
};

struct TroupeFixture {
    explicit TroupeFixture(std::uint64_t seed = 0) : simulation(seed) {
        options.scheduler = {16, 8, 256, FakeBackend::block_size, 64, 2, {}};
        options.supervision = {5, 60000, 100, 5000};
        options.own_threads = false;
        options.name = "fake";
        options.status = std::make_shared<SharedStatus>();
        options.backend = fake_backend(64);
        options.model = test_model();
    }
    ~TroupeFixture() { stop(); }

    static std::shared_ptr<const LoadedModel> test_model() {
        static const auto model = [] {
            auto result = std::make_shared<LoadedModel>();
            auto tokenizer = load_tokenizer(TROUPE_TEST_DATA "/stories260k/stories260k-F32.gguf");
            INFO((tokenizer ? std::string() : tokenizer.error().message));
            REQUIRE(tokenizer.ok());
            result->tokenizer = *tokenizer;
            result->spec.max_position = 256;
            result->spec.vocab_size = 512;
            result->generation.end_token_ids = {2};
            return result;
        }();
        return model;
    }

    // Another model beside "fake", to be changed before start().
    ReplicaOptions& add_model(const std::string& name) {
        others.push_back(options);
        others.back().name = name;
        others.back().status = std::make_shared<SharedStatus>();
        return others.back();
    }

    void start() {
        RouterOptions routing{{}, max_retained, max_retained_bytes, server_status, [this](const auto& why) {
                                  CHECK(gave_up.empty());
                                  gave_up = why;
                              }};
        auto replicas = others;
        replicas.push_front(options);
        for (const auto& replica : replicas) {
            RequestContext context{replica.model, replica.status, 30000, 600000};
            context.prefix_caching = prefix_caching;
            routing.models[replica.name] = {max_live, std::make_shared<const RequestContext>(context),
                                            max_texts};
        }
        router_actor = simulation.system.spawn(router, routing);
        for (const auto& replica : replicas) {
            supervisors.push_back(simulation.system.spawn(supervisor, replica, router_actor));
        }
        simulation.run();
    }

    void stop() {
        for (const auto& one : supervisors) caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
        supervisors.clear();
        router_actor = nullptr;
        simulation.run();
    }

    static GenerationRequest request(const std::string& id, std::vector<TokenId> prompt,
                                     std::uint32_t max_tokens) {
        GenerationRequest result;
        result.id = id;
        result.model = "fake";
        result.prompt = TokenPrompt{std::move(prompt)};
        result.sampling.max_tokens = max_tokens;
        result.sampling.seed = 7;
        return result;
    }

    std::shared_ptr<Reader> submit(GenerationRequest request) {
        auto reader = std::make_shared<Reader>();
        caf::anon_send(router_actor, std::move(request), SinkHandle{reader});
        return reader;
    }

    // The tokens of an undisturbed run of request(id, prompt, count).
    static std::vector<TokenId> expected(const std::vector<TokenId>& prompt, std::size_t count,
                                         std::uint32_t choice = 0) {
        SamplingParams params;
        params.seed = 7;
        params.choice = choice;
        return FakeBackend::expected(prompt, params, count);
    }

    GenerationSnapshot lookup(const std::string& id) {
        GenerationSnapshot snapshot;
        bool found = false;
        caf::anon_send(router_actor, LookupRequest{id}, SnapshotReply{[&](Result<GenerationSnapshot> result) {
                           found = result.ok();
                           if (found) snapshot = *result;
                       }});
        simulation.run();
        if (!found) snapshot.id.clear();
        return snapshot;
    }

    // What the router knows of a model, for tests that kill its peers.
    const RouterState::Replica& replica(const std::string& model = "fake") {
        using RouterPointer = caf::stateful_actor<RouterState, RouterActor::base>*;
        auto* holder = dynamic_cast<RouterPointer>(caf::actor_cast<caf::abstract_actor*>(router_actor));
        REQUIRE(holder);
        return holder->state.replica(model);
    }

    double counter(const std::string& name) { return options.status->metrics.snapshot().counters.at(name); }
    double gauge(const std::string& name) { return options.status->metrics.snapshot().gauges.at(name); }

    Simulation simulation;
    ReplicaOptions options;
    std::deque<ReplicaOptions> others;
    std::shared_ptr<ServerStatus> server_status = std::make_shared<ServerStatus>();
    std::uint32_t max_live = 16, max_texts = 64, max_retained = 4;
    std::uint64_t max_retained_bytes = 1U << 20;
    bool prefix_caching = true;
    RouterActor router_actor;
    std::vector<SupervisorActor> supervisors;
    std::string gave_up;
};

}  // namespace troupe
