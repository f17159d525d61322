// The answers of /v1/completions and /v1/chat/completions: whole objects and stream chunks.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/client_port.hpp"
#include "net/messages.hpp"

namespace troupe::net {

enum class TextStyle : std::uint8_t { completion, chat };

struct TextChoice {
    std::string text;
    std::string reasoning;        // chat: what was thought before it
    std::vector<ToolCall> calls;  // chat: what was called after it
    FinishReason reason = FinishReason::stop;
    std::string logprobs = "null";  // JSON
    std::shared_ptr<const std::string>
        prompt_logprobs;  // JSON, of all choices of a prompt; null: not asked for
};

// What a chunk carries besides its piece of the answer.
struct ChunkExtras {
    std::string logprobs = "null";              // JSON
    std::optional<Usage> usage = std::nullopt;  // of this choice so far, if chunks are to have it
};

// One id, created and model throughout an answer.
class TextAnswer {
  public:
    // `usage_follows`: the stream ends with a usage chunk, so the others say "usage": null.
    TextAnswer(TextStyle style, std::string id, std::int64_t created, const std::string& model,
               bool usage_follows);

    const std::string& id() const { return id_; }
    TextStyle style() const { return style_; }

    std::string role_chunk(std::size_t index) const;  // chat: the first chunk of a choice
    // Text may be empty when a reason is given. `called`: tools, which is a reason of its own.
    std::string text_chunk(std::size_t index, std::string_view text, std::optional<FinishReason> reason,
                           bool called = false, const ChunkExtras& extras = {}) const;
    // `first`: the number of the first of these calls.
    std::string calls_chunk(std::size_t index, std::size_t first, const std::vector<ToolCall>& calls,
                            const ChunkExtras& extras = {}) const;
    std::string reasoning_chunk(std::size_t index, std::string_view reasoning,
                                const ChunkExtras& extras = {}) const;
    std::string usage_chunk(const Usage& usage) const;
    std::string whole(const std::vector<TextChoice>& choices, const Usage& usage) const;

  private:
    std::string chunk(std::string_view choices, const std::optional<Usage>& usage = std::nullopt) const;

    const TextStyle style_;
    const std::string id_;
    std::string chunk_head_, whole_head_;  // up to and including "choices":
    const std::string_view chunk_tail_;
};

}  // namespace troupe::net
