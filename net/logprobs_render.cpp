#include "net/logprobs_render.hpp"

#include <algorithm>
#include <set>

namespace troupe::net {
namespace {

// What vLLM writes for minus infinity, which JSON has no number for.
float finite(float logprob) { return std::max(logprob, -9999.0F); }

std::string text_of(const TextLogprob& token, bool as_id) {
    return as_id ? "token_id:" + std::to_string(token.id) : token.bytes;
}

// Two tokens may have the same text (parts of characters are all U+FFFD): the likelier one keeps it.
void write_top(JsonWriter& out, const TextLogprobs& entry, bool as_ids) {
    std::set<std::string> written;
    out.begin_object();
    const auto write = [&](const TextLogprob& token) {
        JsonWriter name;
        name.value(text_of(token, as_ids));
        if (written.insert(name.text()).second) out.field(text_of(token, as_ids), finite(token.logprob));
    };
    for (const TextLogprob& token : entry.top) write(token);
    write(entry.token);
    out.end_object();
}

void write_chat_token(JsonWriter& out, const TextLogprob& token) {
    out.field("token", token.bytes).field("logprob", finite(token.logprob)).key("bytes").begin_array();
    for (const char byte : token.bytes) out.value(static_cast<unsigned>(static_cast<unsigned char>(byte)));
    out.end_array();
}

void write_prompt_token(JsonWriter& out, const TextLogprob& token, std::uint32_t rank) {
    out.key(std::to_string(token.id)).begin_object().field("logprob", finite(token.logprob));
    out.field("rank", rank).field("decoded_token", token.bytes).end_object();
}

}  // namespace

std::string completion_logprobs(const std::vector<TextLogprobs>& entries, bool tokens_as_ids) {
    JsonWriter out;
    out.begin_object().key("text_offset").begin_array();
    for (const TextLogprobs& entry : entries) out.value(entry.offset);
    out.end_array().key("token_logprobs").begin_array();
    for (const TextLogprobs& entry : entries) {
        if (entry.rank == 0) {
            out.value(nullptr);
        } else {
            out.value(finite(entry.token.logprob));
        }
    }
    out.end_array().key("tokens").begin_array();
    for (const TextLogprobs& entry : entries) out.value(text_of(entry.token, tokens_as_ids));
    out.end_array().key("top_logprobs").begin_array();
    for (const TextLogprobs& entry : entries) {
        if (entry.rank == 0) {
            out.value(nullptr);
        } else {
            write_top(out, entry, tokens_as_ids);
        }
    }
    return out.end_array().end_object().take();
}

void write_token_logprobs(JsonWriter& out, const std::vector<TextLogprobs>& entries) {
    out.begin_array();
    for (const TextLogprobs& entry : entries) {
        out.begin_object();
        write_chat_token(out, entry.token);
        out.key("top_logprobs").begin_array();
        for (const TextLogprob& token : entry.top) {
            out.begin_object();
            write_chat_token(out, token);
            out.end_object();
        }
        out.end_array().end_object();
    }
    out.end_array();
}

std::string chat_logprobs(const std::vector<TextLogprobs>& entries) {
    JsonWriter out;
    write_token_logprobs(out.begin_object().key("content"), entries);
    return out.field("refusal", nullptr).end_object().take();
}

std::string prompt_logprobs(const std::vector<TextLogprobs>& entries) {
    JsonWriter out;
    out.begin_array();
    for (const TextLogprobs& entry : entries) {
        if (entry.rank == 0) {
            out.value(nullptr);
            continue;
        }
        out.begin_object();
        bool listed = false;
        for (std::size_t i = 0; i < entry.top.size(); ++i) {
            listed = listed || entry.top[i].id == entry.token.id;
            write_prompt_token(out, entry.top[i], static_cast<std::uint32_t>(i + 1));
        }
        if (!listed) write_prompt_token(out, entry.token, entry.rank);
        out.end_object();
    }
    return out.end_array().take();
}

}  // namespace troupe::net
