#include "net/text_render.hpp"

#include "net/json_writer.hpp"

namespace troupe::net {
namespace {

void write_reason(JsonWriter& out, std::optional<FinishReason> reason, bool called = false) {
    out.key("finish_reason");
    if (reason) {
        out.value(*reason == FinishReason::length ? "length" : called ? "tool_calls" : "stop");
    } else {
        out.value(nullptr);
    }
}

void write_call(JsonWriter& out, const ToolCall& call) {
    out.field("id", call.id.value_or("")).field("type", "function").key("function").begin_object();
    out.field("name", call.name).field("arguments", call.arguments).end_object();
}

void write_usage(JsonWriter& out, const Usage& usage, TextStyle style) {
    out.begin_object().field("prompt_tokens", usage.prompt_tokens);
    out.field("completion_tokens", usage.completion_tokens);
    out.field("total_tokens", usage.prompt_tokens + usage.completion_tokens);
    out.key("prompt_tokens_details").begin_object().field("cached_tokens", usage.cached_tokens).end_object();
    if (style == TextStyle::chat) {
        out.key("completion_tokens_details").begin_object();
        out.field("reasoning_tokens", usage.reasoning_tokens).end_object();
    }
    out.end_object();
}

std::string head(std::string_view object, const std::string& id, std::int64_t created,
                 const std::string& model) {
    JsonWriter out;
    out.begin_object()
        .field("id", id)
        .field("object", object)
        .field("created", created)
        .field("model", model);
    return out.key("choices").take();
}

}  // namespace

TextAnswer::TextAnswer(TextStyle style, std::string id, std::int64_t created, const std::string& model,
                       bool usage_follows)
    : style_(style), id_(std::move(id)), chunk_tail_(usage_follows ? R"(,"usage":null})" : "}") {
    const bool chat = style_ == TextStyle::chat;
    chunk_head_ = head(chat ? "chat.completion.chunk" : "text_completion", id_, created, model);
    whole_head_ = head(chat ? "chat.completion" : "text_completion", id_, created, model);
}

std::string TextAnswer::chunk(std::string_view choices, const std::optional<Usage>& usage) const {
    std::string out;
    if (usage) {
        JsonWriter totals;
        write_usage(totals, *usage, style_);
        return out.append(chunk_head_).append(choices).append(R"(,"usage":)").append(totals.text()) + "}";
    }
    out.reserve(chunk_head_.size() + choices.size() + chunk_tail_.size());
    return out.append(chunk_head_).append(choices).append(chunk_tail_);
}

std::string TextAnswer::role_chunk(std::size_t index) const {
    JsonWriter out;
    out.begin_array().begin_object().field("index", index);
    out.key("delta").begin_object().field("role", "assistant").field("content", "").end_object();
    out.field("logprobs", nullptr);
    write_reason(out, std::nullopt);
    return chunk(out.end_object().end_array().text());
}

std::string TextAnswer::text_chunk(std::size_t index, std::string_view text,
                                   std::optional<FinishReason> reason, bool called,
                                   const ChunkExtras& extras) const {
    JsonWriter out;
    out.begin_array().begin_object().field("index", index);
    if (style_ == TextStyle::chat) {
        out.key("delta").begin_object();
        if (!text.empty()) out.field("content", text);
        out.end_object();
    } else {
        out.field("text", text);
    }
    out.key("logprobs").raw(extras.logprobs);
    write_reason(out, reason, called);
    return chunk(out.end_object().end_array().text(), extras.usage);
}

std::string TextAnswer::calls_chunk(std::size_t index, std::size_t first, const std::vector<ToolCall>& calls,
                                    const ChunkExtras& extras) const {
    JsonWriter out;
    out.begin_array().begin_object().field("index", index);
    out.key("delta").begin_object().key("tool_calls").begin_array();
    for (const ToolCall& call : calls) {
        out.begin_object().field("index", first++);
        write_call(out, call);
        out.end_object();
    }
    out.end_array().end_object().key("logprobs").raw(extras.logprobs);
    write_reason(out, std::nullopt);
    return chunk(out.end_object().end_array().text(), extras.usage);
}

std::string TextAnswer::reasoning_chunk(std::size_t index, std::string_view reasoning,
                                        const ChunkExtras& extras) const {
    JsonWriter out;
    out.begin_array().begin_object().field("index", index);
    out.key("delta").begin_object().field("reasoning_content", reasoning).end_object();
    out.key("logprobs").raw(extras.logprobs);
    write_reason(out, std::nullopt);
    return chunk(out.end_object().end_array().text(), extras.usage);
}

std::string TextAnswer::usage_chunk(const Usage& usage) const {
    JsonWriter out;
    write_usage(out, usage, style_);
    return chunk_head_ + R"([],"usage":)" + out.take() + "}";
}

std::string TextAnswer::whole(const std::vector<TextChoice>& choices, const Usage& usage) const {
    JsonWriter list;
    list.begin_array();
    for (std::size_t index = 0; index < choices.size(); ++index) {
        list.begin_object().field("index", index);
        if (style_ == TextStyle::chat) {
            list.key("message").begin_object().field("role", "assistant").key("content");
            const bool silent = choices[index].text.empty() && !choices[index].calls.empty();
            silent ? list.value(nullptr) : list.value(choices[index].text);
            if (!choices[index].reasoning.empty()) list.field("reasoning_content", choices[index].reasoning);
            if (!choices[index].calls.empty()) {
                list.key("tool_calls").begin_array();
                for (const ToolCall& call : choices[index].calls) {
                    write_call(list.begin_object(), call);
                    list.end_object();
                }
                list.end_array();
            }
            list.field("refusal", nullptr).end_object();
        } else {
            list.field("text", choices[index].text);
        }
        list.key("logprobs").raw(choices[index].logprobs);
        write_reason(list, choices[index].reason, !choices[index].calls.empty());
        if (style_ == TextStyle::completion && choices[index].prompt_logprobs)
            list.key("prompt_logprobs").raw(*choices[index].prompt_logprobs);
        list.end_object();
    }
    JsonWriter totals;
    write_usage(totals, usage, style_);
    std::string out = whole_head_ + list.end_array().take() + R"(,"usage":)" + totals.take();
    // Where vLLM has it: a chat has one prompt.
    if (style_ == TextStyle::chat && choices.front().prompt_logprobs)
        out += R"(,"prompt_logprobs":)" + *choices.front().prompt_logprobs;
    return out + "}";
}

}  // namespace troupe::net
