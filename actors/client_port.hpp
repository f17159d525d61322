// The door between the network (or the terminal) and the actors: plain values and two interfaces, no CAF
// types. Implemented by actors/troupe_system.cpp; net and apps use it, and tests give net a fake one.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "core/ids.hpp"
#include "core/sampling_params.hpp"
#include "core/status.hpp"

namespace troupe {

struct TextPrompt {
    std::string text;
    bool add_special = true;    // what the model adds by itself (a beginning token)
    bool parse_special = true;  // special tokens written in the text become their ids
    bool operator==(const TextPrompt&) const = default;
};
struct TokenPrompt {
    std::vector<TokenId> ids;
    bool operator==(const TokenPrompt&) const = default;
};
// Rendered with the model's chat template. `variables` is a JSON object: "messages" and whatever else the
// template may read ("tools", ...). bos_token, eos_token and add_generation_prompt are filled in if absent.
struct ChatPrompt {
    std::string variables;
    bool operator==(const ChatPrompt&) const = default;
};
using Prompt = std::variant<TextPrompt, TokenPrompt, ChatPrompt>;

// How much work it is: bytes of text. Ids only have to be looked at.
inline std::size_t text_bytes(const Prompt& prompt) {
    if (const auto* text = std::get_if<TextPrompt>(&prompt)) return text->text.size();
    if (const auto* chat = std::get_if<ChatPrompt>(&prompt)) return chat->variables.size();
    return 0;
}

// A prompt of which there is one, however many generations carry it: copies are the same object.
class SharedPrompt {
  public:
    SharedPrompt() = default;  // an empty text
    SharedPrompt(Prompt prompt) : prompt_(std::make_shared<const Prompt>(std::move(prompt))) {}
    // `holds` lives as long as the prompt does.
    SharedPrompt(Prompt prompt, std::shared_ptr<const void> holds) {
        using Both = std::pair<Prompt, std::shared_ptr<const void>>;
        auto both = std::make_shared<const Both>(std::move(prompt), std::move(holds));
        prompt_ = std::shared_ptr<const Prompt>(both, &both->first);
    }
    SharedPrompt(TextPrompt prompt) : SharedPrompt(Prompt(std::move(prompt))) {}
    SharedPrompt(TokenPrompt prompt) : SharedPrompt(Prompt(std::move(prompt))) {}
    SharedPrompt(ChatPrompt prompt) : SharedPrompt(Prompt(std::move(prompt))) {}
    const Prompt& operator*() const {
        static const Prompt none;
        return prompt_ ? *prompt_ : none;
    }
    // Ends with the last copy: what waits for its turn can see that nobody wants it any more.
    std::weak_ptr<const Prompt> watch() const { return prompt_; }
    bool operator==(const SharedPrompt& other) const { return **this == *other; }

  private:
    std::shared_ptr<const Prompt> prompt_;
};

// DryParams as the client gives them: texts break repetitions, and so each token that holds one of them.
struct RequestedDry {
    float multiplier = 0.0F, base = 1.75F;
    std::uint32_t allowed_length = 2;
    std::int32_t last_n = -1;
    std::optional<std::vector<std::string>> breakers;  // absent: line feed, colon, quotation mark, asterisk
    bool operator==(const RequestedDry&) const = default;
};

// Sampling fields as the client gave them; what is absent comes from the model's generation defaults.
struct RequestedSampling {
    std::optional<float> temperature, top_p, min_p, typical_p;
    std::optional<float> xtc_probability, xtc_threshold;
    std::optional<float> repetition_penalty, presence_penalty, frequency_penalty;
    RequestedDry dry = {};
    std::optional<std::int32_t> top_k;
    std::optional<std::uint64_t> seed;  // absent: drawn at admission and kept
    // Absent: the rest of the context. 0: only the prompt is looked at.
    std::optional<std::uint32_t> max_tokens;
    std::optional<std::int32_t> truncate_prompt_tokens;  // keeps the last ones; -1: as many as fit
    std::uint32_t min_tokens = 0;  // before these, nothing but the context ends the output
    bool ignore_eos = false;
    std::vector<TokenId> stop_token_ids;
    std::vector<std::string> stop;  // stop strings; the output ends before the first
    std::vector<LogitBias> logit_bias;
    std::optional<std::uint32_t> logprobs;         // of each token and that many of the likeliest
    std::optional<std::uint32_t> prompt_logprobs;  // the same for the prompt
    bool include_stop = false;  // the stop string, or the end token's text, stays in the output
    bool skip_special = true;   // special tokens leave no text
    bool operator==(const RequestedSampling&) const = default;
};

// How long a generation outlives its reader.
enum class Retention : std::uint8_t {
    none,        // a client that goes away cancels it (completions, chat, store: false)
    stored,      // runs on for the resume grace without a reader; its result is retained
    background,  // runs to its end whoever reads; its result is retained
};

struct GenerationRequest {
    std::string id;     // chosen by net, unique ("cmpl-...", "resp_...")
    std::string model;  // the served name
    SharedPrompt prompt;
    RequestedSampling sampling;
    std::uint64_t tenant = 0;
    std::int32_t priority = 0;                                    // smaller is more urgent
    std::optional<std::uint32_t> deadline_ms;                     // from arrival
    std::optional<std::uint32_t> ttft_target_ms, tpot_target_ms;  // absent: the server's
    Retention retention = Retention::none;
    std::string record;            // net's own admission record; opaque here, given back in snapshots
    std::uint32_t choice = 0;      // which of the n choices of one prompt
    bool describe_prompt = false;  // a PromptEvent comes before the first text
    // Generations of one prompt carry the same number, not 0, and share its computation. Their prompts should
    // be copies of one SharedPrompt: then it is tokenized once, too.
    std::uint64_t prompt_group = 0;
    std::string cache_salt;  // prefixes are shared with requests of the tenant that have the same one
    bool operator==(const GenerationRequest&) const = default;
};

struct Usage {
    std::uint32_t prompt_tokens = 0;
    std::uint32_t cached_tokens = 0;
    std::uint32_t completion_tokens = 0;
    std::uint32_t reasoning_tokens = 0;  // of these; for net to fill in, which tells reasoning from content
    bool operator==(const Usage&) const = default;
};

// A token as text: the bytes that it stands for, perhaps part of a character.
struct TextLogprob {
    TokenId id = 0;
    std::string bytes;
    float logprob = 0.0F;
    bool operator==(const TextLogprob&) const = default;
};
struct TextLogprobs {
    TextLogprob token;
    std::uint32_t rank = 0;    // 1: the likeliest; 0: nothing is known, it is the first token of the prompt
    std::uint32_t offset = 0;  // characters of visible text before it, of the prompt's or the output's own
    std::vector<TextLogprob> top;
    bool operator==(const TextLogprobs&) const = default;
};

// One entry of a request's event log. Texts are numbered 0, 1, 2, ...: the number is a pure function of the
// generated tokens (one event per token that completes visible text), so a reader can resume after any of
// them.
struct TextEvent {
    std::uint64_t index = 0;
    std::string text;                         // whole UTF-8 characters
    std::uint32_t completion_tokens = 0;      // generated up to and including this text
    bool last = false;                        // the FinishedEvent follows at once: both can go out together
    std::vector<TextLogprobs> logprobs = {};  // of the tokens that begin before its end
    bool operator==(const TextEvent&) const = default;
};
// The texts of several events, put together.
struct TextMark {                         // where one of them ends
    std::uint32_t end = 0;                // bytes
    std::uint32_t completion_tokens = 0;  // generated up to and including it
    std::uint32_t logprobs = 0;           // entries up to and including its own
    bool operator==(const TextMark&) const = default;
};
struct OutputTexts {
    std::string text;
    std::vector<TextMark> marks;
    std::vector<TextLogprobs> logprobs;
    bool empty() const { return marks.empty(); }
};

// How a text relates to <think>...</think>.
enum class Thinking : std::uint8_t {
    none,     // the prompt is no conversation, or its template does not know the tags
    outside,  // the model may begin with <think>
    inside,   // the prompt ends behind <think>: the text begins with reasoning
};
struct StartedEvent {  // the prompt is tokenized and queued; no token yet
    std::uint32_t prompt_tokens = 0;
    Thinking thinking = Thinking::none;
    bool operator==(const StartedEvent&) const = default;
};
// The prompt as text, with all its tokens if their log probabilities are wanted. Before the first text.
struct PromptEvent {
    std::string text;
    std::vector<TextLogprobs> logprobs;
    bool cut = false;  // truncate_prompt_tokens left the beginning out
    bool operator==(const PromptEvent&) const = default;
};
struct FinishedEvent {
    std::uint64_t index = 0;  // one past the last text
    FinishReason reason = FinishReason::stop;
    Usage usage;
    std::vector<TokenId> ids;    // all generated ids, the end token included
    std::optional<Error> error;  // with reason failed
    // Of tokens after the last text: an end token, half a character. Those of a stop string are left out.
    std::vector<TextLogprobs> logprobs = {};
    bool operator==(const FinishedEvent&) const = default;
};
using GenerationEvent = std::variant<StartedEvent, PromptEvent, TextEvent, FinishedEvent>;

// Receives a generation's events in order. Called from actor threads: must not block and must not call back
// into the port. Held weakly: an expired sink means that nobody reads.
class GenerationSink {
  public:
    virtual ~GenerationSink() = default;
    virtual void deliver(const GenerationEvent& event) = 0;
};

enum class GenerationStatus : std::uint8_t { queued, in_progress, completed, incomplete, failed, cancelled };

// The status of a generation that ended so.
constexpr GenerationStatus status_after(FinishReason reason) {
    switch (reason) {
        case FinishReason::stop:
            return GenerationStatus::completed;
        case FinishReason::length:
        case FinishReason::steered:
            return GenerationStatus::incomplete;
        case FinishReason::cancelled:
            return GenerationStatus::cancelled;
        case FinishReason::failed:
            break;
    }
    return GenerationStatus::failed;
}

// As metrics and commands write it.
constexpr const char* finish_reason_name(FinishReason reason) {
    switch (reason) {
        case FinishReason::stop:
            return "stop";
        case FinishReason::length:
            return "length";
        case FinishReason::cancelled:
            return "cancelled";
        case FinishReason::steered:
            return "steered";
        case FinishReason::failed:
            break;
    }
    return "failed";
}

struct GenerationSnapshot {
    std::string id;
    std::string record;
    GenerationStatus status = GenerationStatus::queued;
    OutputTexts output;
    std::optional<FinishReason> reason;
    Usage usage;
    std::optional<Error> error;
    Thinking thinking = Thinking::none;
};

enum class ServerState : std::uint8_t {
    loading,
    ready,
    draining,
    no_worker,  // its restart is being waited for
    failed,     // there will be no worker any more
};

// Which fields of a request a model's chat template makes something of.
struct TemplateReads {
    bool tools = true, documents = true, reasoning_effort = true, enable_thinking = true;
};

struct ModelCard {
    std::string id;                          // served name
    std::vector<std::string> aliases;        // further names of it
    std::string root;                        // where it came from
    std::int64_t created = 0;                // Unix seconds, when it was loaded
    std::uint32_t max_model_len = 0;         // prompt and generated tokens together
    ServerState state = ServerState::ready;  // of this model; never draining
    TemplateReads reads = {};
};

struct Histogram {
    std::vector<double> bounds;         // upper bounds, ascending; one more bucket follows for +Inf
    std::vector<std::uint64_t> counts;  // per bucket, not cumulative; bounds.size() + 1 entries
    double sum = 0;
};

struct MetricsSnapshot {
    std::map<std::string, double> gauges;           // "num_requests_running": value
    std::map<std::string, double> counters;         // "prompt_tokens_total"
    std::map<std::string, double> request_success;  // by finished_reason
    std::map<std::string, double> swapped_blocks;   // by direction
    std::map<std::string, Histogram> histograms;    // "time_to_first_token_seconds"
};

struct ServerMetrics {
    std::map<std::string, double> gauges;           // of the whole server: "responses_retained"
    std::map<std::string, MetricsSnapshot> models;  // by served name
};

// A scheduling policy to put in the place of the present one.
struct PolicyRequest {
    std::string name;                  // built-in, or the path of a plug-in
    std::vector<std::string> options;  // "key=value"
    bool isolate = false;
};

// Thread-safe; calls return at once, callbacks come from actor threads.
class ClientPort {
  public:
    virtual ~ClientPort() = default;

    // Starts a generation. Whatever goes wrong, admission included, arrives as a FinishedEvent with an error.
    virtual void submit(GenerationRequest request, std::weak_ptr<GenerationSink> sink) = 0;

    // Sends the retained texts from index `first` on, one event each, then goes on live up to the
    // FinishedEvent (of one that has ended too). Replaces an earlier reader, which gets a FinishedEvent with
    // an error tagged `reader_replaced`. An unknown id, one whose time is over, or one of another tenant than
    // this one answers with not_found through `done`; success comes before any event.
    virtual void attach(const std::string& id, std::uint64_t tenant, std::uint64_t first,
                        std::weak_ptr<GenerationSink> sink, std::function<void(Status)> done) = 0;

    // This reader went away (the generation's retention says what follows). Without effect once another
    // reader has attached: a broken connection is often noticed only after its client has resumed on a new
    // one. No tenant is asked for: only who holds the reader can name it.
    virtual void detach(const std::string& id, std::weak_ptr<GenerationSink> reader) = 0;

    // Ends it with that reason, cancelled or steered. A steered one shows nothing that was held back: its
    // conversation goes on from what its reader has seen. `done` gets the snapshot after that, or not_found,
    // as for attach.
    virtual void cancel(const std::string& id, std::uint64_t tenant, FinishReason reason,
                        std::function<void(Result<GenerationSnapshot>)> done) = 0;

    virtual void lookup(const std::string& id, std::uint64_t tenant,
                        std::function<void(Result<GenerationSnapshot>)> done) = 0;

    // With the tokenizer of the model that is served by that name. Many wait for one thread: refused with
    // resource_exhausted if too many do, and skipped once the caller has let go of what it gave.
    virtual void tokenize(const std::string& model, const SharedPrompt& prompt,
                          std::function<void(Result<std::vector<TokenId>>)> done) = 0;
    virtual void detokenize(const std::string& model, const std::shared_ptr<const std::vector<TokenId>>& ids,
                            std::function<void(Result<std::string>)> done) = 0;

    // Of all models together: ready if each of them is, failed if each of them is, loading while any is.
    virtual ServerState state() const = 0;
    virtual std::vector<ModelCard> models() const = 0;  // in the order of the configuration
    virtual ServerMetrics metrics() const = 0;

    // New requests are refused with `unavailable`; `done` is called when the running ones have ended.
    virtual void drain(std::function<void()> done) = 0;

    // For every model; running requests go on. An error leaves the present one in place.
    virtual void replace_policy(PolicyRequest request, std::function<void(Status)> done) = 0;

    // There will be no worker any more: all live requests fail with this error, new ones are refused with it.
    virtual void abort(Error error) = 0;
};

}  // namespace troupe
