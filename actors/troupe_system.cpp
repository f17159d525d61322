#include "actors/troupe_system.hpp"

#include <chrono>
#include <thread>

#include "actors/messages.hpp"
#include "actors/router_actor.hpp"
#include "actors/supervisor_actor.hpp"
#include "model/chat_template.hpp"
#include "policies/loader/make_policy.hpp"

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

// For a policy to start; then the request for it is answered with an error.
constexpr std::chrono::seconds policy_patience{10};

class Port final : public ClientPort {
  public:
    // What is known of a model besides its card's state.
    struct Model {
        ModelCard card;
        std::shared_ptr<const SharedStatus> status;
    };

    Port(RouterActor router, std::vector<SupervisorActor> supervisors, std::shared_ptr<ServerStatus> status,
         std::vector<Model> models, PolicyChoice policy)
        : router_(std::move(router)),
          supervisors_(std::move(supervisors)),
          status_(std::move(status)),
          models_(std::move(models)),
          policy_(std::move(policy)) {}

    void submit(GenerationRequest request, std::weak_ptr<GenerationSink> sink) override {
        caf::anon_send(router_, std::move(request), SinkHandle{std::move(sink)});
    }
    void attach(const std::string& id, std::uint64_t tenant, std::uint64_t first,
                std::weak_ptr<GenerationSink> sink, std::function<void(Status)> done) override {
        caf::anon_send(router_, AttachReader{id, first, tenant}, SinkHandle{std::move(sink)},
                       StatusReply{std::move(done)});
    }
    void detach(const std::string& id, std::weak_ptr<GenerationSink> reader) override {
        caf::anon_send(router_, DetachReader{id}, SinkHandle{std::move(reader)});
    }
    void cancel(const std::string& id, std::uint64_t tenant, FinishReason reason,
                std::function<void(Result<GenerationSnapshot>)> done) override {
        caf::anon_send(router_, CancelRequest{id, tenant, reason}, SnapshotReply{std::move(done)});
    }
    void lookup(const std::string& id, std::uint64_t tenant,
                std::function<void(Result<GenerationSnapshot>)> done) override {
        caf::anon_send(router_, LookupRequest{id, tenant}, SnapshotReply{std::move(done)});
    }
    void tokenize(const std::string& model, const SharedPrompt& prompt,
                  std::function<void(Result<std::vector<TokenId>>)> done) override {
        caf::anon_send(router_, TokenizeText{model, prompt.watch()}, IdsReply{std::move(done)});
    }
    void detokenize(const std::string& model, const std::shared_ptr<const std::vector<TokenId>>& ids,
                    std::function<void(Result<std::string>)> done) override {
        caf::anon_send(router_, DetokenizeIds{model, ids}, TextReply{std::move(done)});
    }
    ServerState state() const override {
        if (status_->draining) return ServerState::draining;
        std::size_t ready = 0, loading = 0, failed = 0;
        for (const auto& model : models_) {
            const auto state = model.status->state();
            ready += state == ServerState::ready ? 1 : 0;
            loading += state == ServerState::loading ? 1 : 0;
            failed += state == ServerState::failed ? 1 : 0;
        }
        if (loading > 0) return ServerState::loading;
        if (ready > 0) return ServerState::ready;
        return failed == models_.size() ? ServerState::failed : ServerState::no_worker;
    }
    std::vector<ModelCard> models() const override {
        std::vector<ModelCard> cards;
        for (const auto& model : models_) {
            cards.push_back(model.card);
            cards.back().state = model.status->state();
        }
        return cards;
    }
    ServerMetrics metrics() const override {
        ServerMetrics all;
        all.gauges["responses_retained"] = static_cast<double>(status_->responses_retained);
        all.gauges["responses_retained_bytes"] = static_cast<double>(status_->responses_retained_bytes);
        for (const auto& model : models_) {
            auto& snapshot = all.models[model.card.id] = model.status->metrics.snapshot();
            const auto texts = model.status->short_texts_waiting + model.status->long_texts_waiting;
            snapshot.gauges["num_texts_waiting"] = static_cast<double>(texts);
        }
        return all;
    }
    void drain(std::function<void()> done) override {
        status_->draining = true;  // seen at once by /ready
        caf::anon_send(router_, Drain{}, DoneReply{std::move(done)});
    }
    // Starting a policy may take its time (a process, a file), so it has a thread of its own for it.
    void replace_policy(PolicyRequest request, std::function<void(Status)> done) override {
        auto options = policy_option_lines(request.options);
        if (!options) return done(options.error());
        PolicyChoice choice = policy_;
        choice.name = request.name;
        choice.options = *std::move(options);
        choice.isolate = request.isolate;
        router_.home_system().spawn<caf::detached>(
            [choice, supervisors = supervisors_, reply = StatusReply{std::move(done)}] {
                std::vector<std::shared_ptr<PolicyPort>> policies;  // one for each model, or none is replaced
                while (policies.size() < supervisors.size()) {
                    auto policy = make_policy_within(choice, policy_patience);
                    if (!policy) return reply.done(policy.error());
                    policies.push_back(*std::move(policy));
                }
                for (std::size_t i = 0; i < supervisors.size(); ++i)
                    caf::anon_send(supervisors[i], ReplacePolicy{choice, policies[i]});
                reply.done(Status());
            });
    }
    void abort(Error error) override { caf::anon_send(router_, AbortRequests{std::move(error)}); }

  private:
    RouterActor router_;
    std::vector<SupervisorActor> supervisors_;
    std::shared_ptr<ServerStatus> status_;
    std::vector<Model> models_;
    PolicyChoice policy_;  // what requests for another leave as it is: its budget
};

// What the scheduler makes of the configuration: limits of the model and the pool applied.
Result<SchedulerOptions> scheduler_options(const EngineConfig& config, const ServedModel& served) {
    SchedulerOptions options;
    options.max_num_batched_tokens = config.max_num_batched_tokens;
    options.max_num_seqs = config.max_num_seqs;
    options.max_model_len = served.max_model_len;
    options.block_size = config.block_size;
    options.num_blocks = served.num_blocks;
    options.max_steps_in_flight = config.max_steps_in_flight;
    options.host_pages = served.swap.host_pages;
    options.disk_pages = served.swap.disk_pages;
    // A first guess: 4 GB/s and 400 MB/s, and what the messages take.
    options.host_us_per_block = 20.0 + static_cast<double>(served.swap.page_bytes) / 4000.0;
    options.disk_us_per_block = 100.0 + static_cast<double>(served.swap.page_bytes) / 400.0;
    options.end_token_ids = served.model->generation.end_token_ids;
    if (options.max_model_len > served.model->spec.max_position) {
        return invalid_argument("--max-model-len " + std::to_string(options.max_model_len) +
                                    " is more than the model was made for (" +
                                    std::to_string(served.model->spec.max_position) + ").",
                                "--max-model-len");
    }
    if (auto status = validate(options); !status) return status.error();
    return options;
}

// Tried once, so that a policy that does not start is found before the server serves.
Result<PolicyChoice> policy_choice(const PolicyConfig& config) {
    auto options = policy_option_lines(config.options);
    if (!options) return invalid_argument("--policy-option: " + options.error().message, "--policy-option");
    PolicyChoice choice{config.name, *std::move(options), std::chrono::milliseconds(config.budget_ms),
                        config.isolate};
    if (auto policy = make_policy(choice); !policy)
        return invalid_argument("--policy: " + policy.error().message, "--policy");
    return choice;
}

Result<ReplicaOptions> replica_options(const Config& config, ServedModel& served) {
    auto scheduler = scheduler_options(config.engine, served);
    if (!scheduler) return scheduler.error();
    ReplicaOptions replica;
    replica.name = served.name;
    replica.scheduler = *scheduler;
    replica.supervision = config.supervision;
    const auto& fault = config.engine.fault_injection;
    if (fault.model.empty() || fault.model == served.name) replica.fault = fault;
    replica.frontends = config.engine.frontend_threads;
    replica.backend = std::move(served.backend);
    replica.swap = served.swap;
    replica.model = served.model;
    replica.status = std::make_shared<SharedStatus>();
    return replica;
}

TemplateReads template_reads(const LoadedModel& model) {
    if (!model.chat_template) return {};  // whatever is rendered is refused
    const auto parsed = ChatTemplate::parse(*model.chat_template, model.bos_token, model.eos_token);
    if (!parsed) return {};
    return {parsed->reads("tools"), parsed->reads("documents"), parsed->reads("reasoning_effort"),
            parsed->reads("enable_thinking")};
}

RouteOptions route_options(const Config& config, const ReplicaOptions& replica) {
    const auto& server = config.server;
    RequestContext context{replica.model, replica.status, server.resume_grace_ms, server.retention_ms};
    context.ttft_target_ms = config.policy.ttft_target_ms;
    context.tpot_target_ms = config.policy.tpot_target_ms;
    context.prefix_caching = !config.engine.no_prefix_caching;
    return {config.engine.max_num_seqs + server.max_waiting,
            std::make_shared<const RequestContext>(std::move(context)), server.max_tokenize_waiting};
}

}  // namespace

// The order of members is the order of their end: the port's handle, then the actors, then their system.
struct TroupeSystem::Impl {
    ActorConfig config;
    caf::actor_system system{config};
    std::vector<SupervisorActor> supervisors;
    std::unique_ptr<Port> port;
};

Result<std::unique_ptr<TroupeSystem>> TroupeSystem::start(TroupeOptions options) {
    const auto created =
        std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
    const auto& server = options.config.server;
    auto status = std::make_shared<ServerStatus>();
    auto policy = policy_choice(options.config.policy);
    if (!policy) return policy.error();
    std::shared_ptr<Recorder> recorder;
    if (!server.record.empty()) {
        auto opened = Recorder::create(server.record);
        if (!opened) return opened.error();
        recorder = *std::move(opened);
    }
    std::vector<ReplicaOptions> replicas;
    std::vector<Port::Model> models;
    RouterOptions routing{
        {}, server.max_retained, server.max_retained_bytes, status, std::move(options.give_up)};
    for (auto& served : options.models) {
        auto replica = replica_options(options.config, served);
        if (!replica) return replica.error();
        replica->policy = *policy;
        replica->status->model = served.name;
        replica->status->recorder = recorder;
        routing.models[served.name] = route_options(options.config, *replica);
        models.push_back({{served.name, served.aliases, served.root, created.count(), served.max_model_len,
                           ServerState::ready, template_reads(*served.model)},
                          replica->status});
        replicas.push_back(*std::move(replica));
    }
    auto impl = std::make_unique<Impl>();
    auto router_actor = impl->system.spawn(router, std::move(routing));
    for (auto& replica : replicas) {
        impl->supervisors.push_back(impl->system.spawn(supervisor, std::move(replica), router_actor));
    }
    impl->port = std::make_unique<Port>(router_actor, impl->supervisors, status, std::move(models), *policy);
    return std::unique_ptr<TroupeSystem>(new TroupeSystem(std::move(impl)));
}

TroupeSystem::TroupeSystem(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

TroupeSystem::~TroupeSystem() {
    impl_->port.reset();
    for (const auto& one : impl_->supervisors) caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    impl_->supervisors.clear();
}

ClientPort& TroupeSystem::port() { return *impl_->port; }

}  // namespace troupe
