// `troupe generate`
#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
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
    std::uint32_t n = 1;  // answers
    bool by_ids = false, raw = false, json = false;
};

// What came back, and when.
struct Answer {
    std::string text;
    FinishedEvent end;
    std::vector<TextLogprobs> logprobs;
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
            answer.logprobs.insert(answer.logprobs.end(), text->logprobs.begin(), text->logprobs.end());
            if (print_text && !print(text->text)) return answer;
        } else if (const auto* end = std::get_if<FinishedEvent>(&*event)) {
            answer.end = *end;
            answer.logprobs.insert(answer.logprobs.end(), end->logprobs.begin(), end->logprobs.end());
            answer.total = now;
            if (!answer.last_text_time) answer.ttft = now;
            return answer;
        }
    }
}

void write_logprob(net::JsonWriter& json, const TextLogprob& token) {
    json.begin_object().field("id", token.id).field("token", token.bytes);
    json.field("logprob", static_cast<double>(token.logprob));
}

// ids, text, finish_reason and, if wanted, logprobs.
void write_answer(net::JsonWriter& json, const Answer& answer, bool logprobs) {
    json.key("ids").begin_array();
    for (const TokenId id : answer.end.ids) json.value(id);
    json.end_array().field("text", answer.text).field("finish_reason", finish_reason_name(answer.end.reason));
    if (!logprobs) return;
    json.key("logprobs").begin_array();
    for (const TextLogprobs& entry : answer.logprobs) {
        write_logprob(json, entry.token);
        json.key("top").begin_array();
        for (const TextLogprob& other : entry.top) {
            write_logprob(json, other);
            json.end_object();
        }
        json.end_array().end_object();
    }
    json.end_array();
}

void print_json(const std::vector<Answer>& answers, bool logprobs, double load_seconds) {
    const Answer& first = answers.front();
    net::JsonWriter json;
    json.begin_object();
    std::uint32_t completion_tokens = 0;
    double total = 0;
    if (answers.size() == 1) write_answer(json, first, logprobs);
    if (answers.size() > 1) json.key("choices").begin_array();
    for (const Answer& answer : answers) {
        completion_tokens += answer.end.usage.completion_tokens;
        total = std::max(total, answer.total);
        if (answers.size() == 1) break;
        write_answer(json.begin_object(), answer, logprobs);
        json.end_object();
    }
    if (answers.size() > 1) json.end_array();
    json.key("timings").begin_object();
    json.field("load_ms", load_seconds * 1e3);
    if (answers.size() == 1) json.field("ttft_ms", first.ttft * 1e3);
    json.field("total_ms", total * 1e3);
    json.field("prompt_tokens", first.end.usage.prompt_tokens);
    json.field("completion_tokens", completion_tokens);
    if (answers.size() == 1) {
        const double decode_seconds = first.last_text_time.value_or(0) - first.ttft;
        json.field("prefill_tokens_per_second", rate(first.end.usage.prompt_tokens, first.ttft));
        json.field("decode_tokens_per_second", rate(first.last_tokens - first.first_tokens, decode_seconds));
    }
    json.end_object().end_object();
    std::puts(json.text().c_str());
}

std::string quoted(const TextLogprob& token) {
    std::array<char, 32> number{};
    std::snprintf(number.data(), number.size(), "%8.4f ", static_cast<double>(token.logprob));
    return number.data() + net::JsonWriter().value(token.bytes).take();
}

// A line for each token: its log probability, and the likeliest ones' behind it.
void print_logprobs(const Answer& answer) {
    for (const TextLogprobs& entry : answer.logprobs) {
        std::string line = quoted(entry.token);
        for (const TextLogprob& other : entry.top) line += "  |" + quoted(other);
        std::puts(line.c_str());
    }
}

// One answer is printed as it comes, several one after the other.
void print_texts(const std::vector<Answer>& answers, bool logprobs) {
    for (std::size_t i = 0; i < answers.size(); ++i) {
        if (answers.size() > 1) std::printf("[%zu]\n%s", i + 1, answers[i].text.c_str());
        std::puts("");
        if (logprobs) print_logprobs(answers[i]);
    }
}

std::vector<Answer> ask(ClientPort& port, const GenerateFlags& flags, const std::string& model,
                        Prompt prompt) {
    const Clock::time_point start = Clock::now();
    std::vector<std::shared_ptr<EventQueue>> queues;
    GenerationRequest request;
    request.model = model;
    request.prompt = std::move(prompt);
    request.sampling = flags.sampling;
    request.prompt_group = flags.n > 1 ? 1 : 0;
    for (std::uint32_t i = 0; i < flags.n; ++i) {
        request.id = "generate-" + std::to_string(i);
        request.choice = i;
        queues.push_back(std::make_shared<EventQueue>());
        port.submit(request, queues.back());
    }
    std::vector<Answer> answers;
    for (const auto& queue : queues)
        answers.push_back(read_answer(*queue, start, !flags.json && flags.n == 1));
    return answers;
}

int generate(GenerateFlags& flags) {
    auto config = flags.config.load();
    if (!config) return report(config.error());
    if (const auto model = only_model(*config); !model) return report(model.error());
    auto prompt = prompt_of(flags);
    if (!prompt) return report(prompt.error());
    config->engine.max_num_seqs = flags.n;
    set_up_logging({.level = "warn", .json = config->log.json});
    const Clock::time_point begin = Clock::now();
    const auto troupe = start_local_troupe(*config, exit_on_give_up);
    if (!troupe) return report(troupe.error());
    if (!flags.raw && !flags.by_ids && !troupe->models.front().has_template) {
        return report(
            invalid_argument("this model has no chat template, so it can only continue texts: --raw "
                             "continues PROMPT as it is"));
    }
    ClientPort& port = troupe->system->port();
    wait_until_ready(port);

    const double load_seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto answers = ask(port, flags, troupe->models.front().name, *std::move(prompt));
    for (const Answer& answer : answers)
        if (answer.end.error) return report(*answer.end.error);
    const bool logprobs = flags.sampling.logprobs.has_value();
    flags.json ? print_json(answers, logprobs, load_seconds) : print_texts(answers, logprobs);
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
    parser->add_option("--n", flags->n, "Answers to give, each drawn by itself [1]")
        ->option_text("N")
        ->check(CLI::Range(1U, 128U));
    parser
        ->add_option("--logprobs", flags->sampling.logprobs,
                     "Print the log probability of each token, and the K likeliest in its place")
        ->option_text("K")
        ->check(CLI::Range(0U, 20U));
    add_sampling_flags(*parser, flags->sampling);
    flags->config.add_to(
        *parser, {"model", "--max-model-len", "--max-num-batched-tokens", "--kv-memory", "--kv-blocks",
                  "--block-size", "--threads", "--max-steps-in-flight", "--fault-injection"});
    parser->footer(
        "Examples:\n"
        "  troupe generate \"Why is the sky blue?\" --max-tokens 100\n"
        "  troupe generate --raw \"Once upon a time\" --temperature 0.8 --seed 7\n"
        "  troupe generate \"Name a fruit.\" --n 3 --logprobs 2\n"
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
