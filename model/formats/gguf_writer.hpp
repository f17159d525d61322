// Writes GGUF 3 (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): a head with all metadata and the
// tensors' descriptions, then the tensors' bytes one after the other. One thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"
#include "model/formats/gguf.hpp"

namespace troupe {

// Metadata and descriptions. A key that is set again takes the later value.
class GgufHead {
  public:
    void set(const std::string& key, std::uint32_t value);
    void set(const std::string& key, float value);
    void set(const std::string& key, bool value);
    void set(const std::string& key, std::string_view value);
    void set(const std::string& key, const char* value) { set(key, std::string_view(value)); }
    void set(const std::string& key, std::span<const std::string_view> values);
    void set(const std::string& key, std::span<const std::int32_t> values);
    void set(const std::string& key, std::span<const float> values);
    void set(const std::string& key, const std::vector<bool>& values);
    void set(const std::string& key, const GgufValue& value);  // of another file
    bool has(const std::string& key) const { return metadata_.count(key) != 0; }

    // dims fastest first. Tensors' bytes are written in the order of these calls.
    void add_tensor(std::string_view name, std::span<const std::uint64_t> dims, std::uint32_t ggml_type,
                    std::uint64_t bytes);

    // The bytes up to the first tensor's.
    std::string bytes(std::uint64_t alignment) const;

  private:
    std::map<std::string, std::string> metadata_;  // key -> type and value
    struct Description {
        std::string name;
        std::vector<std::uint64_t> dims;
        std::uint32_t type = 0;
        std::uint64_t bytes = 0;
    };
    std::vector<Description> tensors_;
};

// Padding after so many bytes.
inline std::uint64_t gguf_padding(std::uint64_t bytes, std::uint64_t alignment) {
    return (alignment - bytes % alignment) % alignment;
}

}  // namespace troupe
