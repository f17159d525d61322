// `troupe generate`
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <limits>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/event_queue.hpp"
#include "apps/local_troupe.hpp"
#include "apps/logging.hpp"
#include "apps/model_setup.hpp"
#include "apps/sampling_flags.hpp"
#include "apps/token_ids.hpp"
#include "conf/flags.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto no_hurry = std::chrono::hours(1);

struct GenerateFlags {
    ConfigFlags config;
    RequestedSampling sampling;
    std::string prompt, ids;
    bool by_ids = false, raw = false, json = false;
};

// What came back, and when.
struct Answer {
    std::string text;
    FinishedEvent end;
    double ttft = 0, total = 0;            // seconds since the request
    std::uint32_t first_tokens = 0;        // generated up to and including the first text
    std::optional<double> last_text_time;  // seconds since the request
    std::uint32_t last_tokens = 0;
};

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

Result<Prompt> prompt_of(const GenerateFlags& flags) {
    if (flags.by_ids) {
        // The frontend knows the vocabulary.
        auto ids = parse_ids(flags.ids, std::numeric_limits<TokenId>::max());
        if (!ids) return ids.error();
        return Prompt(TokenPrompt{*std::move(ids)});
    }
    std::string text = flags.prompt;
    if (text == "-") {
        auto input = read_text("-");
        if (!input) return input.error();
        text = *std::move(input);
    }
    if (flags.raw) return Prompt(TextPrompt{std::move(text)});
    net::JsonWriter variables;
    variables.begin_object().key("messages").begin_array();
    variables.begin_object().field("role", "user").field("content", text).end_object();
    return Prompt(ChatPrompt{variables.end_array().end_object().take()});
}

// Until the end, or until the output takes no more.
Answer read_answer(EventQueue& events, Clock::time_point start, bool print_text) {
    Answer answer;
    for (;;) {
        const auto event = events.next(no_hurry);
        if (!event) continue;
        const double now = std::chrono::duration<double>(Clock::now() - start).count();
        if (const auto* text = std::get_if<TextEvent>(&*event)) {
            if (!answer.last_text_time) {
                answer.ttft = now;
                answer.first_tokens = text->completion_tokens;
            }
            answer.last_text_time = now;
            answer.last_tokens = text->completion_tokens;
            answer.text += text->text;
            if (print_text && !print(text->text)) return answer;
        } else if (const auto* end = std::get_if<FinishedEvent>(&*event)) {
            answer.end = *end;
            answer.total = now;
            if (!answer.last_text_time) answer.ttft = now;
            return answer;
        }
    }
}

void print_json(const Answer& answer, double load_seconds) {
    const Usage& usage = answer.end.usage;
    const double decode_seconds = answer.last_text_time.value_or(0) - answer.ttft;
    net::JsonWriter json;
    json.begin_object().key("ids").begin_array();
    for (const TokenId id : answer.end.ids) json.value(id);
    json.end_array().field("text", answer.text).field("finish_reason", finish_reason_name(answer.end.reason));
    json.key("timings").begin_object();
    json.field("load_ms", load_seconds * 1e3);
    json.field("ttft_ms", answer.ttft * 1e3);
    json.field("total_ms", answer.total * 1e3);
    json.field("prompt_tokens", usage.prompt_tokens);
    json.field("completion_tokens", usage.completion_tokens);
    json.field("prefill_tokens_per_second", rate(usage.prompt_tokens, answer.ttft));
    json.field("decode_tokens_per_second", rate(answer.last_tokens - answer.first_tokens, decode_seconds));
    json.end_object().end_object();
    std::puts(json.text().c_str());
}

int generate(GenerateFlags& flags) {
    auto config = flags.config.load();
    if (!config) return report(config.error());
    if (const auto model = only_model(*config); !model) return report(model.error());
    auto prompt = prompt_of(flags);
    if (!prompt) return report(prompt.error());
    config->engine.max_num_seqs = 1;
    set_up_logging({.level = "warn", .json = config->log.json});
    const Clock::time_point begin = Clock::now();
    const auto troupe = start_local_troupe(*config, exit_on_give_up);
    if (!troupe) return report(troupe.error());
    ClientPort& port = troupe->system->port();
    wait_until_ready(port);

    const Clock::time_point start = Clock::now();
    const auto events = std::make_shared<EventQueue>();
    GenerationRequest request;
    request.id = "generate";
    request.model = troupe->models.front().name;
    request.prompt = *std::move(prompt);
    request.sampling = flags.sampling;
    port.submit(std::move(request), events);
    const Answer answer = read_answer(*events, start, !flags.json);
    if (answer.end.error) return report(*answer.end.error);
    if (flags.json) {
        print_json(answer, std::chrono::duration<double>(start - begin).count());
    } else {
        std::puts("");
    }
    return 0;
}

}  // namespace

Command generate_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("generate", "Answer one prompt");
    const auto flags = std::make_shared<GenerateFlags>();
    auto* prompt =
        parser->add_option("prompt", flags->prompt, "What the user says; '-' reads the standard input")
            ->option_text("PROMPT");
    auto* ids = parser->add_option("--ids", flags->ids, "The prompt as token ids, instead of PROMPT")
                    ->option_text("1,2,3");
    prompt->excludes(ids);
    parser->add_flag("--raw", flags->raw, "Continue PROMPT as it is, without the chat template");
    parser->add_flag("--json", flags->json,
                     "Print one JSON object: ids (the end token included), text, finish_reason, timings");
    add_sampling_flags(*parser, flags->sampling);
    flags->config.add_to(
        *parser, {"model", "--max-model-len", "--max-num-batched-tokens", "--kv-memory", "--kv-blocks",
                  "--block-size", "--threads", "--max-steps-in-flight", "--fault-injection"});
    parser->footer(
        "Examples:\n"
        "  troupe generate \"Why is the sky blue?\" --max-tokens 100\n"
        "  troupe generate --raw \"Once upon a time\" --temperature 0.8 --seed 7\n"
        "  troupe generate --ids 1,2,3 --max-tokens 16 --temperature 0 --json\n");
    return {parser, [flags, prompt, ids] {
                if (prompt->count() + ids->count() == 0) {
                    return report(invalid_argument("generate needs a prompt: give one, '-', or --ids 1,2,3"));
                }
                flags->by_ids = ids->count() > 0;
                return generate(*flags);
            }};
}

}  // namespace troupe
