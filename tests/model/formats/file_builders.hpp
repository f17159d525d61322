// Makes GGUF and safetensors files, good ones and lying ones, in a directory that goes away with the test.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace troupe::testing {

class TempDirectory {
  public:
    TempDirectory() {
        std::string name = (std::filesystem::temp_directory_path() / "troupe-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a temporary directory");
        path_ = name;
    }
    ~TempDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDirectory(const TempDirectory&) = delete;
    TempDirectory& operator=(const TempDirectory&) = delete;

    const std::filesystem::path& path() const { return path_; }

    std::filesystem::path write(const std::string& name, std::string_view bytes) const {
        std::ofstream(path_ / name, std::ios::binary) << bytes;
        return path_ / name;
    }

  private:
    std::filesystem::path path_;
};

template <class T>
std::string raw(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
}

inline std::string gguf_string(std::string_view text) {
    return raw<std::uint64_t>(text.size()) + std::string(text);
}

// A GGUF file out of its parts; every number in it can be made to lie.
struct GgufBuilder {
    std::string magic = "GGUF";
    std::uint32_t version = 3;
    std::uint64_t num_tensors = 0;
    std::uint64_t num_metadata = 0;
    std::string metadata;
    std::string tensors;
    std::string data;
    std::uint64_t alignment = 32;

    template <class T>
    GgufBuilder& value(std::string_view key, std::uint32_t type, T number) {
        return entry(key, type, raw(number));
    }
    GgufBuilder& string(std::string_view key, std::string_view text) {
        return entry(key, 8, gguf_string(text));
    }
    GgufBuilder& entry(std::string_view key, std::uint32_t type, const std::string& bytes) {
        metadata += gguf_string(key) + raw(type) + bytes;
        ++num_metadata;
        return *this;
    }
    GgufBuilder& array(std::string_view key, std::uint32_t type, std::uint64_t count,
                       const std::string& bytes) {
        return entry(key, 9, raw(type) + raw(count) + bytes);
    }
    GgufBuilder& tensor(std::string_view name, std::initializer_list<std::uint64_t> dims, std::uint32_t type,
                        std::uint64_t offset) {
        tensors += gguf_string(name) + raw(static_cast<std::uint32_t>(dims.size()));
        for (const std::uint64_t dim : dims) tensors += raw(dim);
        tensors += raw(type) + raw(offset);
        ++num_tensors;
        return *this;
    }
    std::string bytes() const {
        std::string file = magic + raw(version) + raw(num_tensors) + raw(num_metadata) + metadata + tensors;
        if (!data.empty()) file.resize((file.size() + alignment - 1) / alignment * alignment);
        return file + data;
    }
};

inline std::string safetensors_bytes(std::string_view header, std::string_view data) {
    return raw<std::uint64_t>(header.size()) + std::string(header) + std::string(data);
}

}  // namespace troupe::testing
