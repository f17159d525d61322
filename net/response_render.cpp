#include "net/response_render.hpp"

#include "net/json_writer.hpp"
#include "net/reasoning.hpp"

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

// The message exists from its first text on; the ends that send its done events show it even if it is empty.
bool has_output(const ResponseRecord& record, const ResponseState& state) {
    if (!record.generate) return false;
    const bool open =
        state.status == GenerationStatus::queued || state.status == GenerationStatus::in_progress;
    return !state.text.empty() || (!open && state.status != GenerationStatus::failed);
}

// An output message knows three states only.
std::string_view item_status(const ResponseState& state) {
    if (state.status == GenerationStatus::completed) return "completed";
    return state.status == GenerationStatus::in_progress ? "in_progress" : "incomplete";
}

void write_part(JsonWriter& out, std::string_view text) {
    out.begin_object().field("type", "output_text").field("text", text);
    out.key("annotations").begin_array().end_array().key("logprobs").begin_array().end_array().end_object();
}

void write_item(JsonWriter& out, const ResponseRecord& record, std::string_view status,
                const std::optional<std::string_view>& text) {
    out.begin_object().field("type", "message").field("id", record.item_id).field("status", status);
    out.field("role", "assistant").key("content").begin_array();
    if (text) write_part(out, *text);
    out.end_array().end_object();
}

void write_usage(JsonWriter& out, const Usage& usage) {
    out.begin_object().field("input_tokens", usage.prompt_tokens);
    out.key("input_tokens_details").begin_object();
    out.field("cached_tokens", usage.cached_tokens).field("cache_write_tokens", 0).end_object();
    out.field("output_tokens", usage.completion_tokens);
    out.key("output_tokens_details").begin_object().field("reasoning_tokens", 0).end_object();
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
    if (has_output(record, state)) write_item(out, record, item_status(state), state.text);
    out.end_array().field("parallel_tool_calls", true);
    nullable(out, "previous_response_id", record.previous_response_id);
    out.field("store", record.store);
    nullable(out, "temperature", record.temperature);
    nullable(out, "top_p", record.top_p);
    out.key("text")
        .raw(R"({"format":{"type":"text"}})")
        .field("tool_choice", record.show_tools ? "auto" : "none");
    out.key("tools")
        .raw(record.tools.empty() ? "[]" : record.tools)
        .field("truncation", "disabled")
        .key("usage");
    state.usage ? write_usage(out, *state.usage) : void(out.value(nullptr));
    nullable(out, "user", record.user);
    out.end_object();
}

JsonWriter event(std::string_view type, std::int64_t number, const std::optional<std::string>& lane) {
    JsonWriter out;
    out.begin_object().field("type", type).field("sequence_number", number);
    if (lane) out.field("stream_id", *lane);
    return out;
}

JsonWriter part_event(std::string_view type, std::int64_t number, const std::optional<std::string>& lane,
                      const ResponseRecord& record) {
    JsonWriter out = event(type, number, lane);
    out.field("item_id", record.item_id).field("output_index", 0).field("content_index", 0);
    return out;
}

}  // namespace

ResponseState state_of(const GenerationSnapshot& snapshot) {
    ResponseState state{snapshot.status, split_reasoning(snapshot.text, snapshot.thinking).content,
                        std::nullopt, snapshot.reason, snapshot.error};
    if (snapshot.reason) state.usage = snapshot.usage;
    return state;
}

ResponseState state_of(const FinishedEvent& finished, std::string text) {
    return {status_after(finished.reason), std::move(text), finished.usage, finished.reason, finished.error};
}

void hide_output(ResponseState& state) {
    state.text.clear();
    if (state.status == GenerationStatus::incomplete) state.status = GenerationStatus::completed;
    if (state.usage) state.usage->completion_tokens = 0;
}

std::string response_object(const ResponseRecord& record, const ResponseState& state) {
    JsonWriter out;
    write_response(out, record, state);
    return out.take();
}

std::string ResponseEvents::with_response(std::string_view type, std::int64_t number,
                                          const ResponseState& state) const {
    JsonWriter out = event(type, number, lane_);
    write_response(out.key("response"), record_, state);
    return out.end_object().take();
}

std::string ResponseEvents::created() const { return with_response("response.created", kCreatedNumber, {}); }

std::string ResponseEvents::in_progress() const {
    return with_response("response.in_progress", kInProgressNumber, {});
}

std::string ResponseEvents::item_added() const {
    JsonWriter out = event("response.output_item.added", kItemNumber, lane_);
    write_item(out.field("output_index", 0).key("item"), record_, "in_progress", std::nullopt);
    return out.end_object().take();
}

std::string ResponseEvents::part_added() const {
    JsonWriter out = part_event("response.content_part.added", kPartNumber, lane_, record_);
    write_part(out.key("part"), "");
    return out.end_object().take();
}

std::string ResponseEvents::text_delta(std::int64_t number, std::string_view delta) const {
    JsonWriter out = part_event("response.output_text.delta", number, lane_, record_);
    return out.field("delta", delta).key("logprobs").begin_array().end_array().end_object().take();
}

std::string ResponseEvents::text_done(std::int64_t number, std::string_view text) const {
    JsonWriter out = part_event("response.output_text.done", number, lane_, record_);
    return out.field("text", text).key("logprobs").begin_array().end_array().end_object().take();
}

std::string ResponseEvents::part_done(std::int64_t number, std::string_view text) const {
    JsonWriter out = part_event("response.content_part.done", number, lane_, record_);
    write_part(out.key("part"), text);
    return out.end_object().take();
}

std::string ResponseEvents::item_done(std::int64_t number, const ResponseState& state) const {
    JsonWriter out = event("response.output_item.done", number, lane_);
    write_item(out.field("output_index", 0).key("item"), record_, item_status(state), state.text);
    return out.end_object().take();
}

std::string ResponseEvents::ended(std::int64_t number, const ResponseState& state) const {
    const std::string_view type = state.status == GenerationStatus::completed ? "response.completed"
                                  : state.status == GenerationStatus::failed  ? "response.failed"
                                                                              : "response.incomplete";
    return with_response(type, number, state);
}

}  // namespace troupe::net
