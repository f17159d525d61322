// Every message that may cross a node survives CAF's binary serializer, awkward floats and empty fields
// included.
#include <fstream>
#include <limits>

#include "actors/messages.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

struct MessageConfig : caf::actor_system_config {
    MessageConfig() { add_message_types<caf::id_block::troupe>(); }
};

template <class T>
std::vector<char> to_bytes(caf::actor_system& system, T value) {
    std::vector<char> bytes;
    caf::binary_serializer sink{system, bytes};
    REQUIRE_FALSE(sink(value));
    return bytes;
}

template <class T>
T through_the_wire(caf::actor_system& system, const T& value) {
    auto bytes = to_bytes(system, value);
    T back{};
    caf::binary_deserializer source{system, bytes};
    REQUIRE_FALSE(source(back));
    return back;
}

SamplingParams sampling() {
    SamplingParams params{0.7F, 0.9F,  0.05F, 40, 0xFFFFFFFFFFFFFFFFULL, 3, 0.9F, 0.5F, 0.2F,
                          1.1F, -0.5F, 2.0F,  7};
    params.end_tokens = {2, 3};
    params.dry = {0.5F, 1.5F, 3, -1, {4, 5}};
    params.logit_bias = {{5, -std::numeric_limits<float>::infinity()}, {6, 1.5F}};
    return params;
}

}  // namespace

TEST_CASE("messages survive the wire") {
    MessageConfig config;
    caf::actor_system system{config};
    auto check = [&](const auto& value) {
        auto back = through_the_wire(system, value);
        CHECK(back == value);
    };
    const Error error{ErrorCode::resource_exhausted, "full \xC3\xA9", "param", "tag"};
    const StopParams stop{7, true, {1, -1, 2147483647}};

    check(GenerationRequest{});
    GenerationRequest request{"id",  "m", ChatPrompt{"{\"messages\":[]}"}, {},   9, -5,   250U,
                              300U,  40U, Retention::background,           "{}", 3, true, ~0ULL,
                              "salt"};
    request.sampling.temperature = std::numeric_limits<float>::infinity();
    request.sampling.top_p = std::numeric_limits<float>::denorm_min();
    request.sampling.min_p = -0.0F;
    request.sampling.seed = 0;
    request.sampling.stop = {"", "\n\n", std::string("\0x", 2)};
    request.sampling.stop_token_ids = {5};
    request.sampling.typical_p = 0.5F;
    request.sampling.xtc_probability = 0.0F;
    request.sampling.xtc_threshold = 0.1F;
    request.sampling.repetition_penalty = 1.5F;
    request.sampling.presence_penalty = -2.0F;
    request.sampling.frequency_penalty = 2.0F;
    request.sampling.min_tokens = 3;
    request.sampling.dry = {0.5F, 1.5F, 3, 64, std::vector<std::string>{"\n", ""}};
    request.sampling.logit_bias = {{1, 100.0F}, {2, -100.0F}};
    request.sampling.include_stop = true;
    request.sampling.logprobs = 0;
    request.sampling.prompt_logprobs = 20;
    request.sampling.truncate_prompt_tokens = -1;
    request.sampling.skip_special = false;
    check(request);
    request.prompt = TokenPrompt{{1, 2, 3}};
    check(request);
    request.prompt = TextPrompt{"hi", false, true};
    check(request);

    check(AttachReader{"a", 1ULL << 60, 1ULL << 63});
    check(DetachReader{"a"});
    check(CancelRequest{"a", 1ULL << 63});
    check(CancelRequest{"a", 0, FinishReason::steered});
    check(LookupRequest{"", 1});
    check(Drain{});
    check(PreparedRequest{false, error, {}, sampling(), stop, Thinking::inside, true});
    check(SequenceSpec{.id = 1,
                       .tenant = 2,
                       .arrival = -3,
                       .priority = 4,
                       .deadline = 5,
                       .ttft_target = 6,
                       .tpot_target = 7,
                       .tokens = {8, 9},
                       .num_prompt_tokens = 1,
                       .sampling = sampling(),
                       .stop = stop,
                       .oracle_tokens = 10,
                       .cache_salt = std::string("a\0b", 3)});
    check(CancelSequence{~0ULL});
    check(StopSequence{1, 2, 3});
    check(DeadlineDue{4});
    const float impossible = -std::numeric_limits<float>::infinity();
    const PositionLogprobs position{{5, impossible}, 7, {{1, -0.25F}, {2, -1e-30F}}};
    check(TokensEmitted{1, 2, 3, {4, 5}, true, {position, {}}, 6});
    check(PromptLogprobs{1, 2, {position, position}});
    check(PromptLogprobs{});
    check(TokensEmitted{});
    check(SequenceEnded{1, FinishReason::failed, 2, error});
    check(SequencePreempted{1});
    check(RequestEnded{"a", 1ULL << 40});
    check(RequestExpired{"a"});
    check(StepPlan{});
    check(StepPlan{1,
                   2,
                   {3, 4},
                   {{5, {6, 7}, 1, 0, sampling(), {8, 9}}, {}},
                   {{10, {11}, 1}, {12, {}, 0}},
                   {{13, 14}},
                   {{5, 2, RowKind::sample}, {10, 512, RowKind::chunk}}});
    check(StepResult{1, 2, {{3, {4}}, {5, {}, {position}}}, {{5, 6, {position}}}, -6, 7});
    check(MoveBlocks{});
    check(MoveBlocks{1, ~0ULL, {{{Tier::device, 3}, {Tier::disk, 1 << 30}}, {{Tier::host, 0}, {}}}});
    check(MoveDone{1, 2, 3, -4});
    check(DiskTransfer{1LL << 40, true});
    check(DiskTransferred{false, error});
    check(CreatePool{1});
    check(PoolReady{2});
    check(WorkerStarted{1, "cpu/f32"});
    check(WorkerUp{1});
    check(WorkerDown{1});
    check(LossHandled{3, true, 2});
    check(AbortRequests{error});
    check(FrontendNeeded{"a"});
    check(Alarm{});
    check(SchedulerUp{"m"});
    check(ReplicaFailed{"m", "why"});
    check(FrontendUp{"m", 1});
    check(StartReplica{1});
}

TEST_CASE("floats keep their bits") {
    MessageConfig config;
    caf::actor_system system{config};
    for (auto bits : {0x7F800000U, 0xFF800000U, 0x7FC00001U, 0x00000001U, 0x80000000U, 0x3F800000U}) {
        SamplingParams params;
        params.temperature = std::bit_cast<float>(bits);
        CHECK(std::bit_cast<std::uint32_t>(through_the_wire(system, params).temperature) == bits);
    }
}

TEST_CASE("what no enum holds is refused") {
    MessageConfig config;
    caf::actor_system system{config};
    SequenceEnded ended{1, FinishReason::failed, 2, {}};
    auto bytes = to_bytes(system, ended);
    bytes[sizeof(SequenceId)] = 100;  // the reason follows the id
    caf::binary_deserializer source{system, bytes};
    CHECK(source(ended));
}

TEST_CASE("a truncated message is an error") {
    MessageConfig config;
    caf::actor_system system{config};
    auto bytes = to_bytes(system, StepPlan{1, 2, {3}, {{5, {6, 7}, 1, 0, sampling(), {8}}}, {}, {}, {}});
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        std::vector<char> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
        StepPlan back;
        caf::binary_deserializer source{system, part};
        CHECK(source(back));
    }
}

TEST_CASE("the table at the top of messages.hpp names every message") {
    std::ifstream file(TROUPE_TEST_DATA "/../../actors/messages.hpp");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    auto table = text.substr(0, text.find("#pragma once"));
    const std::string macro = "CAF_ADD_TYPE_ID(troupe, (troupe::";
    int names = 0;
    for (auto at = text.find(macro); at != std::string::npos; at = text.find(macro, at + 1)) {
        auto begin = at + macro.size();
        auto name = text.substr(begin, text.find(')', begin) - begin);
        CAPTURE(name);
        CHECK(table.find(name) != std::string::npos);
        ++names;
    }
    CHECK(names > 30);
}
