// `troupe chat`
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/event_queue.hpp"
#include "apps/line_reader.hpp"
#include "apps/local_troupe.hpp"
#include "apps/logging.hpp"
#include "apps/model_setup.hpp"
#include "apps/sampling_flags.hpp"
#include "conf/flags.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

constexpr auto interrupt_check = std::chrono::milliseconds(20);

// Set by Ctrl-C. A signal handler can reach nothing but a global.
volatile std::sig_atomic_t interrupted = 0;

// Ctrl-C sets the flag and ends the read that waits for a line; it does not end the program.
void catch_interrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted = 1; };
    ::sigaction(SIGINT, &action, nullptr);
}

struct ChatFlags {
    ConfigFlags config;
    RequestedSampling sampling;
    std::string system;
};

struct Message {
    const char* role;
    std::string content;
};

class Conversation {
  public:
    Conversation(ClientPort& port, std::string model, const ChatFlags& flags)
        : port_(port), model_(std::move(model)), flags_(flags) {
        reset();
    }

    void reset() {
        messages_.clear();
        if (!flags_.system.empty()) messages_.push_back({"system", flags_.system});
    }

    // Prints the answer as it comes. A message that could not be answered is taken back.
    Status say(const std::string& text) {
        messages_.push_back({"user", text});
        const auto events = std::make_shared<EventQueue>();
        GenerationRequest request;
        request.id = "chat-" + std::to_string(++turns_);
        request.model = model_;
        request.prompt = ChatPrompt{variables()};
        request.sampling = flags_.sampling;
        interrupted = 0;
        port_.submit(request, events);
        std::string answer;
        const FinishedEvent end = print_events(request.id, *events, answer);
        if (end.error) {
            messages_.pop_back();
            return *end.error;
        }
        if (end.reason == FinishReason::length) std::printf(" [cut at the length limit]");
        messages_.push_back({"assistant", std::move(answer)});
        return {};
    }

  private:
    std::string variables() const {
        net::JsonWriter json;
        json.begin_object().key("messages").begin_array();
        for (const Message& message : messages_) {
            json.begin_object().field("role", message.role).field("content", message.content).end_object();
        }
        return json.end_array().end_object().take();
    }

    FinishedEvent print_events(const std::string& id, EventQueue& events, std::string& answer) {
        bool cancelled = false;
        for (;;) {
            const auto event = events.next(interrupt_check);
            if (interrupted != 0 && !cancelled) {
                cancelled = true;
                port_.cancel(id, 0, FinishReason::cancelled, [](const Result<GenerationSnapshot>&) {});
            }
            if (!event) continue;
            if (const auto* text = std::get_if<TextEvent>(&*event)) {
                answer += text->text;
                if (!print(text->text)) interrupted = 1;  // nobody reads it
            } else if (const auto* end = std::get_if<FinishedEvent>(&*event)) {
                return *end;
            }
        }
    }

    ClientPort& port_;
    std::string model_;
    const ChatFlags& flags_;
    std::vector<Message> messages_;
    std::uint64_t turns_ = 0;
};

int converse(Conversation& conversation) {
    const bool terminal = ::isatty(STDIN_FILENO) == 1;
    LineReader reader;
    int status = 0;
    for (std::string line; std::ferror(stdout) == 0;) {
        if (terminal) {
            std::printf("> ");
            std::fflush(stdout);
        }
        const LineReader::Outcome outcome = reader.next(line);
        if (outcome == LineReader::Outcome::interrupted) {
            std::puts("  (Ctrl-D or /exit leaves)");
            continue;
        }
        if (outcome == LineReader::Outcome::end || line == "/exit") break;
        if (line == "/reset") {
            conversation.reset();
            continue;
        }
        if (line.find_first_not_of(" \t") == std::string::npos) continue;
        if (const Status said = conversation.say(line); !said) status = report(said.error());
        std::puts("");
    }
    if (terminal) std::puts("");
    return status;
}

int chat(const ChatFlags& flags) {
    auto config = flags.config.load();
    if (!config) return report(config.error());
    if (const auto model = only_model(*config); !model) return report(model.error());
    config->engine.max_num_seqs = 1;
    set_up_logging({.level = "warn", .json = config->log.json});
    const auto troupe = start_local_troupe(*config, exit_on_give_up);
    if (!troupe) return report(troupe.error());
    if (!troupe->models.front().has_template) {
        return report(
            invalid_argument("this model has no chat template, so it cannot converse: `troupe generate "
                             "--raw` continues texts"));
    }
    ClientPort& port = troupe->system->port();
    wait_until_ready(port);
    if (::isatty(STDIN_FILENO) == 1) {
        catch_interrupts();
        std::printf("%s. Ctrl-C stops an answer, /reset begins anew, /exit or Ctrl-D leaves.\n",
                    troupe->models.front().name.c_str());
    }
    Conversation conversation(port, troupe->models.front().name, flags);
    return converse(conversation);
}

}  // namespace

Command chat_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("chat", "Talk with a model in the terminal");
    const auto flags = std::make_shared<ChatFlags>();
    parser->add_option("--system", flags->system, "Instructions that the conversation begins with")
        ->option_text("TEXT");
    add_sampling_flags(*parser, flags->sampling);
    flags->config.add_to(*parser, {"model", "--max-model-len", "--max-num-batched-tokens", "--kv-memory",
                                   "--kv-blocks", "--block-size", "--threads"});
    parser->footer(
        "Each line is a message. Ctrl-C stops the running answer, /reset begins anew, /exit or Ctrl-D "
        "leaves.\n"
        "Reads from a pipe too: echo \"What is 2 + 2?\" | troupe chat --temperature 0\n");
    return {parser, [flags] { return chat(*flags); }};
}

}  // namespace troupe
