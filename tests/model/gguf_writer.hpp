// Writes small GGUF files for tests: what a converter would write, and lies.
#pragma once
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace troupe {

struct GgufWriter {
    using Value = std::variant<std::uint32_t, float, std::string>;
    struct Tensor {
        std::vector<std::uint64_t> dims;  // fastest first
        std::uint32_t type = 0;           // F32
    };
    std::map<std::string, Value> metadata;
    std::map<std::string, Tensor> tensors;

    // A llama of two layers: hidden 32, 4 heads and 2 KV heads of 8, feed-forward 48, 64 tokens.
    static GgufWriter tiny_llama() {
        GgufWriter file;
        file.metadata = {{"general.architecture", "llama"},
                         {"llama.block_count", 2U},
                         {"llama.context_length", 128U},
                         {"llama.embedding_length", 32U},
                         {"llama.feed_forward_length", 48U},
                         {"llama.attention.head_count", 4U},
                         {"llama.attention.head_count_kv", 2U},
                         {"llama.rope.dimension_count", 8U},
                         {"llama.attention.layer_norm_rms_epsilon", 1e-5F}};
        file.tensors = {{"token_embd.weight", {{32, 64}}}, {"output_norm.weight", {{32}}}};
        for (int layer = 0; layer < 2; ++layer) {
            const std::string prefix = "blk." + std::to_string(layer) + ".";
            file.tensors[prefix + "attn_norm.weight"] = {{32}};
            file.tensors[prefix + "attn_q.weight"] = {{32, 32}};
            file.tensors[prefix + "attn_k.weight"] = {{32, 16}};
            file.tensors[prefix + "attn_v.weight"] = {{32, 16}};
            file.tensors[prefix + "attn_output.weight"] = {{32, 32}};
            file.tensors[prefix + "ffn_norm.weight"] = {{32}};
            file.tensors[prefix + "ffn_gate.weight"] = {{32, 48}};
            file.tensors[prefix + "ffn_up.weight"] = {{32, 48}};
            file.tensors[prefix + "ffn_down.weight"] = {{48, 32}};
        }
        return file;
    }

    void write(const std::filesystem::path& path) const {
        std::string header("GGUF");
        std::string data;
        put(header, std::uint32_t{3});
        put(header, std::uint64_t{tensors.size()});
        put(header, std::uint64_t{metadata.size()});
        for (const auto& [key, value] : metadata) {
            put_string(header, key);
            if (const auto* number = std::get_if<std::uint32_t>(&value)) {
                put(header, std::uint32_t{4});
                put(header, *number);
            } else if (const auto* real = std::get_if<float>(&value)) {
                put(header, std::uint32_t{6});
                put(header, *real);
            } else {
                put(header, std::uint32_t{8});
                put_string(header, std::get<std::string>(value));
            }
        }
        for (const auto& [name, tensor] : tensors) {
            put_string(header, name);
            put(header, static_cast<std::uint32_t>(tensor.dims.size()));
            std::uint64_t elements = 1;
            for (const std::uint64_t size : tensor.dims) {
                put(header, size);
                elements *= size;
            }
            put(header, tensor.type);
            put(header, std::uint64_t{data.size()});
            for (std::uint64_t i = 0; i < elements; ++i) put(data, 0.01F * static_cast<float>(i % 17) + 0.1F);
            data.resize((data.size() + 31) / 32 * 32);
        }
        header.resize((header.size() + 31) / 32 * 32);
        std::ofstream(path, std::ios::binary) << header << data;
    }

  private:
    template <class T>
    static void put(std::string& to, T value) {
        to.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    static void put_string(std::string& to, const std::string& text) {
        put(to, std::uint64_t{text.size()});
        to += text;
    }
};

}  // namespace troupe
