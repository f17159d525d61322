// The server-sent events of one streaming completion, as they arrive in pieces of any size.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

struct BenchChunk {
    bool has_content = false;                                       // some choice has text
    bool done = false;                                              // "[DONE]"
    std::optional<std::uint32_t> prompt_tokens, completion_tokens;  // of a chunk with usage
    std::string error;                                              // message of an error object
};

class BenchStream {
  public:
    void append(std::string_view bytes) { pending_ += bytes; }
    // The next whole event with data; empty: more bytes are needed.
    std::optional<BenchChunk> next();

  private:
    std::string pending_;
};

}  // namespace troupe
