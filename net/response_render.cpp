#include "net/response_render.hpp"

#include "net/json_writer.hpp"
#include "net/logprobs_render.hpp"

namespace troupe::net {
namespace {

std::string_view status_name(GenerationStatus status) {
    switch (status) {
        case GenerationStatus::queued:
            return "queued";
        case GenerationStatus::in_progress:
            return "in_progress";
        case GenerationStatus::completed:
            return "completed";
        case GenerationStatus::incomplete:
            return "incomplete";
        case GenerationStatus::failed:
            return "failed";
        case GenerationStatus::cancelled:
            return "cancelled";
    }
    return "failed";
}

std::string_view type_name(OutputItem::Kind kind) {
    switch (kind) {
        case OutputItem::Kind::reasoning:
            return "reasoning";
        case OutputItem::Kind::message:
            return "message";
        case OutputItem::Kind::call:
            break;
    }
    return "function_call";
}

std::string_view progress_name(OutputItem::Progress progress) {
    switch (progress) {
        case OutputItem::Progress::in_progress:
            return "in_progress";
        case OutputItem::Progress::completed:
            return "completed";
        case OutputItem::Progress::incomplete:
            break;
    }
    return "incomplete";
}

// The one part of a message's or of reasoning's content.
void write_part(JsonWriter& out, OutputItem::Kind kind, std::string_view text,
                const std::vector<TextLogprobs>& logprobs = {}) {
    if (kind == OutputItem::Kind::reasoning) {
        out.begin_object().field("type", "reasoning_text").field("text", text).end_object();
        return;
    }
    out.begin_object().field("type", "output_text").field("text", text);
    out.key("annotations").begin_array().end_array();
    write_token_logprobs(out.key("logprobs"), logprobs);
    out.end_object();
}

void write_item(JsonWriter& out, const OutputItem& item) {
    const bool begun = !item.text.empty() || item.progress != OutputItem::Progress::in_progress;
    out.begin_object().field("type", type_name(item.kind)).field("id", item.id);
    out.field("status", progress_name(item.progress));
    switch (item.kind) {
        case OutputItem::Kind::reasoning:
            out.key("summary").begin_array().end_array();
            break;
        case OutputItem::Kind::message:
            out.field("role", "assistant");
            break;
        case OutputItem::Kind::call:
            out.field("call_id", item.call_id).field("name", item.name).field("arguments", item.text);
            break;
    }
    if (item.kind != OutputItem::Kind::call) {
        out.key("content").begin_array();
        if (begun) write_part(out, item.kind, item.text, item.logprobs);
        out.end_array();
    }
    out.end_object();
}

void write_usage(JsonWriter& out, const Usage& usage) {
    out.begin_object().field("input_tokens", usage.prompt_tokens);
    out.key("input_tokens_details").begin_object();
    out.field("cached_tokens", usage.cached_tokens).field("cache_write_tokens", 0).end_object();
    out.field("output_tokens", usage.completion_tokens);
    out.key("output_tokens_details").begin_object().field("reasoning_tokens", usage.reasoning_tokens);
    out.end_object();
    out.field("total_tokens", usage.prompt_tokens + usage.completion_tokens).end_object();
}

void write_error(JsonWriter& out, const Error& error) {
    // The API has a closed list of codes, which has none for a deadline; our own, finer one stays in the
    // message.
    const std::string_view code = error.code == ErrorCode::resource_exhausted ? "rate_limit_exceeded"
                                  : error.code == ErrorCode::invalid_argument ? "invalid_prompt"
                                  : error.code == ErrorCode::timed_out        ? "deadline_exceeded"
                                                                              : "server_error";
    out.begin_object().field("code", code).field("message", error.message).end_object();
}

template <class T>
void nullable(JsonWriter& out, std::string_view name, const std::optional<T>& value) {
    out.key(name);
    value ? out.value(*value) : out.value(nullptr);
}

void write_response(JsonWriter& out, const ResponseRecord& record, const ResponseState& state) {
    out.begin_object().field("id", record.id).field("object", "response").field("created_at", record.created);
    out.field("status", status_name(state.status)).field("background", record.background).key("error");
    state.error ? write_error(out, *state.error) : void(out.value(nullptr));
    out.key("incomplete_details");
    if (state.status == GenerationStatus::incomplete) {
        out.begin_object()
            .field("reason", state.reason == FinishReason::steered ? "steered" : "max_output_tokens")
            .end_object();
    } else {
        out.value(nullptr);
    }
    nullable(out, "instructions", record.instructions);
    nullable(out, "max_output_tokens", record.max_output_tokens);
    out.key("metadata").begin_object();
    for (const auto& [name, value] : record.metadata) out.field(name, value);
    out.end_object().field("model", record.model).key("output").begin_array();
    for (const OutputItem& item : state.output) write_item(out, item);
    out.end_array().field("parallel_tool_calls", true);
    nullable(out, "previous_response_id", record.previous_response_id);
    out.field("store", record.store);
    nullable(out, "temperature", record.temperature);
    nullable(out, "top_p", record.top_p);
    out.key("text")
        .raw(R"({"format":{"type":"text"}})")
        .field("tool_choice", record.show_tools ? "auto" : "none");
    out.field("top_logprobs", record.logprobs.value_or(0))
        .key("tools")
        .raw(record.tools.empty() ? "[]" : record.tools)
        .field("truncation", "disabled")
        .key("usage");
    state.usage ? write_usage(out, *state.usage) : void(out.value(nullptr));
    nullable(out, "user", record.user);
    out.end_object();
}

JsonWriter event_head(std::string_view type, std::int64_t number, const std::optional<std::string>& lane) {
    JsonWriter out;
    out.begin_object().field("type", type).field("sequence_number", number);
    if (lane) out.field("stream_id", *lane);
    return out;
}

struct TextEvents {
    std::string_view delta, done;
};
constexpr TextEvents text_events(OutputItem::Kind kind) {
    switch (kind) {
        case OutputItem::Kind::reasoning:
            return {"response.reasoning_text.delta", "response.reasoning_text.done"};
        case OutputItem::Kind::message:
            return {"response.output_text.delta", "response.output_text.done"};
        case OutputItem::Kind::call:
            break;
    }
    return {"response.function_call_arguments.delta", "response.function_call_arguments.done"};
}

}  // namespace

ResponseState end_state(const ResponseRecord& record, FinishReason reason, Usage usage,
                        std::optional<Error> error, const ResponseOutput& output) {
    ResponseState state{status_after(reason), output.items(), usage, reason, std::move(error)};
    state.usage->reasoning_tokens = output.reasoning_tokens();
    if (record.generate) return state;
    // The one token that computing a prompt draws counts for nothing.
    if (state.status == GenerationStatus::incomplete) state.status = GenerationStatus::completed;
    state.usage->completion_tokens = 0;
    return state;
}

std::string response_object(const ResponseRecord& record, const ResponseState& state) {
    JsonWriter out;
    write_response(out, record, state);
    return out.take();
}

std::string ResponseEvents::with_response(std::string_view type, std::int64_t number,
                                          const ResponseState& state) const {
    JsonWriter out = event_head(type, number, lane_);
    write_response(out.key("response"), record_, state);
    return out.end_object().take();
}

std::string ResponseEvents::created() const { return with_response("response.created", kCreatedNumber, {}); }

std::string ResponseEvents::in_progress() const {
    return with_response("response.in_progress", kInProgressNumber, {});
}

std::string ResponseEvents::of_item(const OutputEvent& event, const OutputItem& item) const {
    using Event = OutputEvent::Kind;
    const auto begin = [&](std::string_view type) {
        JsonWriter out = event_head(type, event.number, lane_);
        out.field("output_index", event.item);
        return out;
    };
    const auto about = [&](std::string_view type) {
        JsonWriter out = begin(type);
        out.field("item_id", item.id);
        if (item.kind != OutputItem::Kind::call) out.field("content_index", 0);
        return out;
    };
    const TextEvents types = text_events(item.kind);
    const bool message = item.kind == OutputItem::Kind::message;
    JsonWriter out;
    switch (event.kind) {
        case Event::item_added: {
            OutputItem fresh{item.kind, OutputItem::Progress::in_progress, item.id};
            fresh.name = item.name;
            fresh.call_id = item.call_id;
            out = begin("response.output_item.added");
            write_item(out.key("item"), fresh);
            break;
        }
        case Event::part_added:
            out = about("response.content_part.added");
            write_part(out.key("part"), item.kind, "");
            break;
        case Event::delta:
            out = about(types.delta);
            out.field("delta", event.delta);
            if (message) write_token_logprobs(out.key("logprobs"), event.logprobs);
            break;
        case Event::text_done:
            out = about(types.done);
            out.field(item.kind == OutputItem::Kind::call ? "arguments" : "text", item.text);
            if (item.kind == OutputItem::Kind::call) out.field("name", item.name);
            if (message) write_token_logprobs(out.key("logprobs"), item.logprobs);
            break;
        case Event::part_done:
            out = about("response.content_part.done");
            write_part(out.key("part"), item.kind, item.text, item.logprobs);
            break;
        case Event::item_done:
            out = begin("response.output_item.done");
            write_item(out.key("item"), item);
            break;
    }
    return out.end_object().take();
}

std::string ResponseEvents::ended(std::int64_t number, const ResponseState& state) const {
    const std::string_view type = state.status == GenerationStatus::completed ? "response.completed"
                                  : state.status == GenerationStatus::failed  ? "response.failed"
                                                                              : "response.incomplete";
    return with_response(type, number, state);
}

}  // namespace troupe::net
