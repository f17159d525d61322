#include "actors/troupe_system.hpp"

#include <chrono>
#include <thread>

#include "actors/messages.hpp"
#include "actors/router_actor.hpp"
#include "actors/supervisor_actor.hpp"

namespace troupe {

namespace {

// Measured for this use (two schedulers beside the compute threads, and no actor hogs one):
// docs/decisions.md.
struct ActorConfig : caf::actor_system_config {
    ActorConfig() {
        add_message_types<caf::id_block::troupe>();
        set("scheduler.policy", caf::atom("sharing"));
        set("scheduler.max-threads", 2);
        set("scheduler.max-throughput", 50);
    }
};

class Port final : public ClientPort {
  public:
    Port(RouterActor router, std::shared_ptr<SharedStatus> status, ModelCard card)
        : router_(std::move(router)), status_(std::move(status)), card_(std::move(card)) {}

    void submit(GenerationRequest request, std::weak_ptr<GenerationSink> sink) override {
        caf::anon_send(router_, std::move(request), SinkHandle{std::move(sink)});
    }
    void attach(const std::string& id, std::uint64_t first, std::weak_ptr<GenerationSink> sink,
                std::function<void(Status)> done) override {
        caf::anon_send(router_, AttachReader{id, first}, SinkHandle{std::move(sink)},
                       StatusReply{std::move(done)});
    }
    void detach(const std::string& id, std::weak_ptr<GenerationSink> reader) override {
        caf::anon_send(router_, DetachReader{id}, SinkHandle{std::move(reader)});
    }
    void cancel(const std::string& id, std::function<void(Result<GenerationSnapshot>)> done) override {
        caf::anon_send(router_, CancelRequest{id}, SnapshotReply{std::move(done)});
    }
    void lookup(const std::string& id, std::function<void(Result<GenerationSnapshot>)> done) override {
        caf::anon_send(router_, LookupRequest{id}, SnapshotReply{std::move(done)});
    }
    void tokenize(Prompt prompt, std::function<void(Result<std::vector<TokenId>>)> done) override {
        caf::anon_send(router_, TokenizeText{std::move(prompt)}, IdsReply{std::move(done)});
    }
    void detokenize(std::vector<TokenId> ids, std::function<void(Result<std::string>)> done) override {
        caf::anon_send(router_, DetokenizeIds{std::move(ids)}, TextReply{std::move(done)});
    }
    ServerState state() const override { return status_->state(); }
    std::vector<ModelCard> models() const override { return {card_}; }
    MetricsSnapshot metrics() const override { return status_->metrics.snapshot(); }
    void drain(std::function<void()> done) override {
        status_->draining = true;  // seen at once by /ready
        caf::anon_send(router_, Drain{}, DoneReply{std::move(done)});
    }
    void abort(Error error) override { caf::anon_send(router_, AbortRequests{std::move(error)}); }

  private:
    RouterActor router_;
    std::shared_ptr<SharedStatus> status_;
    ModelCard card_;
};

}  // namespace

// The order of members is the order of their end: the port's handle, then the actors, then their system.
struct TroupeSystem::Impl {
    ActorConfig config;
    caf::actor_system system{config};
    SupervisorActor supervisor;
    std::unique_ptr<Port> port;
};

Result<SchedulerOptions> scheduler_options(const EngineConfig& config, const LoadedModel& model,
                                           std::uint32_t num_blocks) {
    SchedulerOptions options;
    options.max_num_batched_tokens = config.max_num_batched_tokens;
    options.max_num_seqs = config.max_num_seqs;
    options.max_model_len = config.max_model_len == 0 ? model.spec.max_position : config.max_model_len;
    options.block_size = config.block_size;
    options.num_blocks = num_blocks;
    options.max_steps_in_flight = config.max_steps_in_flight;
    options.end_token_ids = model.generation.end_token_ids;
    if (options.max_model_len > model.spec.max_position) {
        return invalid_argument("--max-model-len " + std::to_string(options.max_model_len) +
                                    " is more than the model was made for (" +
                                    std::to_string(model.spec.max_position) + ").",
                                "--max-model-len");
    }
    if (auto status = validate(options); !status) return status.error();
    return options;
}

Result<std::unique_ptr<TroupeSystem>> TroupeSystem::start(TroupeOptions options) {
    auto scheduler = scheduler_options(options.config.engine, *options.model, options.num_blocks);
    if (!scheduler) return scheduler.error();
    auto status = std::make_shared<SharedStatus>();
    const auto& server = options.config.server;

    RequestContext context{options.model, status, server.resume_grace_ms, server.retention_ms};
    RouterOptions routing{options.config.engine.max_num_seqs + server.max_waiting, server.max_retained,
                          server.max_retained_bytes,
                          std::make_shared<const RequestContext>(std::move(context)), status};
    ReplicaOptions replica;
    replica.scheduler = *scheduler;
    replica.supervision = options.config.supervision;
    replica.fault = options.config.engine.fault_injection;
    replica.frontends = options.config.engine.frontend_threads;
    replica.backend = std::move(options.backend);
    replica.model = options.model;
    replica.status = status;
    replica.give_up = std::move(options.give_up);

    auto impl = std::make_unique<Impl>();
    auto router_actor = impl->system.spawn(router, std::move(routing));
    impl->supervisor = impl->system.spawn(supervisor, std::move(replica), router_actor);
    auto created =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    ModelCard card{options.served_name, options.root, created.count(), scheduler->max_model_len};
    impl->port = std::make_unique<Port>(router_actor, status, std::move(card));
    return std::unique_ptr<TroupeSystem>(new TroupeSystem(std::move(impl)));
}

TroupeSystem::TroupeSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TroupeSystem::~TroupeSystem() {
    impl_->port.reset();
    caf::anon_send_exit(impl_->supervisor, caf::exit_reason::user_shutdown);
    impl_->supervisor = nullptr;
}

ClientPort& TroupeSystem::port() { return *impl_->port; }

}  // namespace troupe
