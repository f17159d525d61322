// The same weights under the other names and in the other shapes that files have them in.
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <unistd.h>

#include "model/formats/safetensors.hpp"
#include "model/loader.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

const fs::path golden = fs::path(TROUPE_TEST_DATA) / "golden";

struct Stored {
    std::vector<std::uint64_t> shape;
    std::string bytes;  // bf16
};
using Tensors = std::map<std::string, Stored>;

Tensors tensors_of(const char* model) {
    const auto file = SafetensorsFile::open_directory(golden / model);
    if (!file) FAIL(file.error().message);
    Tensors tensors;
    for (const auto& [name, tensor] : file->tensors())
        tensors[name] = {tensor.shape, {reinterpret_cast<const char*>(tensor.data), tensor.bytes}};
    return tensors;
}

std::string text_of(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

struct ModelFolder {
    fs::path path = fs::temp_directory_path() / ("troupe-names-" + std::to_string(::getpid()));
    ModelFolder() {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    ~ModelFolder() { fs::remove_all(path); }

    void write(const char* name, const std::string& text) const { std::ofstream(path / name) << text; }

    void write_tensors(const char* name, const Tensors& tensors) const {
        std::string header = "{";
        std::string data;
        for (const auto& [tensor, stored] : tensors) {
            header += (header.size() > 1 ? ",\"" : "\"") + tensor + "\":{\"dtype\":\"BF16\",\"shape\":[";
            for (std::size_t i = 0; i < stored.shape.size(); ++i)
                header += (i == 0 ? "" : ",") + std::to_string(stored.shape[i]);
            header += "],\"data_offsets\":[" + std::to_string(data.size()) + "," +
                      std::to_string(data.size() + stored.bytes.size()) + "]}";
            data += stored.bytes;
        }
        header += "}";
        const std::uint64_t length = header.size();
        write(name, std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data);
    }

    LoadedModel load() const {
        auto model = load_model(path);
        if (!model) FAIL(model.error().message);
        return *model;
    }
};

bool same(const Tensor& a, const Tensor& b) {
    if (static_cast<bool>(a) != static_cast<bool>(b)) return false;
    return !a || (a.dtype == b.dtype && a.rows == b.rows && a.columns == b.columns &&
                  std::memcmp(a.data, b.data, a.rows * row_bytes(a.dtype, a.columns)) == 0);
}

void check_same(const Weights& a, const Weights& b) {
    CHECK(same(a.embedding, b.embedding));
    CHECK(same(a.lm_head, b.lm_head));
    REQUIRE(a.layers.size() == b.layers.size());
    for (std::size_t i = 0; i < a.layers.size(); ++i) {
        const LayerWeights& x = a.layers[i];
        const LayerWeights& y = b.layers[i];
        CHECK((same(x.attn_norm, y.attn_norm) && same(x.q, y.q) && same(x.v, y.v) && same(x.o, y.o)));
        CHECK((same(x.ffn_norm, y.ffn_norm) && same(x.gate, y.gate) && same(x.router, y.router)));
        REQUIRE(x.experts.size() == y.experts.size());
        for (std::size_t e = 0; e < x.experts.size(); ++e)
            CHECK((same(x.experts[e].gate, y.experts[e].gate) && same(x.experts[e].up, y.experts[e].up) &&
                   same(x.experts[e].down, y.experts[e].down)));
    }
}

// Experts one by one, NAME.I.gate and so on, put into two tensors.
void fuse(Tensors& tensors, const std::string& prefix, std::size_t count, const char* gate, const char* up,
          const char* down, const std::string& to) {
    Stored gate_up;
    Stored downs;
    for (std::size_t i = 0; i < count; ++i) {
        const auto take = [&](const char* which) {
            auto node = tensors.extract(prefix + std::to_string(i) + "." + which + ".weight");
            REQUIRE(!node.empty());
            return node.mapped();
        };
        const Stored g = take(gate);
        const Stored d = take(down);
        gate_up.shape = {count, 2 * g.shape[0], g.shape[1]};
        gate_up.bytes += g.bytes + take(up).bytes;
        downs.shape = {count, d.shape[0], d.shape[1]};
        downs.bytes += d.bytes;
    }
    tensors[to + "gate_up_proj"] = gate_up;
    tensors[to + "down_proj"] = downs;
}

}  // namespace

TEST_CASE("Experts that are fused are those that are not") {
    const ModelFolder folder;
    SECTION("qwen3_moe") {
        Tensors tensors = tensors_of("qwen3-moe");
        for (const char* layer : {"0", "2"}) {
            const std::string experts = std::string("model.layers.") + layer + ".mlp.experts.";
            fuse(tensors, experts, 8, "gate_proj", "up_proj", "down_proj", experts);
        }
        folder.write_tensors("model.safetensors", tensors);
        folder.write("config.json", text_of(golden / "qwen3-moe/config.json"));
        check_same(*folder.load().weights, *load_model(golden / "qwen3-moe")->weights);
    }
    SECTION("mixtral, with the router's other name") {
        Tensors tensors = tensors_of("mixtral-2");
        for (const char* layer : {"0", "1"}) {
            const std::string prefix = std::string("model.layers.") + layer;
            fuse(tensors, prefix + ".block_sparse_moe.experts.", 4, "w1", "w3", "w2",
                 prefix + ".mlp.experts.");
            auto router = tensors.extract(prefix + ".block_sparse_moe.gate.weight");
            router.key() = prefix + ".mlp.gate.weight";
            tensors.insert(std::move(router));
        }
        folder.write_tensors("model.safetensors", tensors);
        folder.write("config.json", text_of(golden / "mixtral-2/config.json"));
        check_same(*folder.load().weights, *load_model(golden / "mixtral-2")->weights);
    }
}

TEST_CASE("The text of gemma3 is found under both of its names, and its vision left out") {
    for (const char* root : {"model.language_model.", "language_model.model."}) {
        const ModelFolder folder;
        Tensors tensors;
        for (auto& [name, tensor] : tensors_of("gemma3-2")) tensors[root + name.substr(6)] = tensor;
        tensors["model.vision_tower.vision_model.embeddings.position_embedding.weight"] = {{1}, "12"};
        tensors["multi_modal_projector.mm_soft_emb_norm.weight"] = {{1}, "12"};
        folder.write_tensors("model.safetensors", tensors);
        folder.write("config.json", R"({"model_type": "gemma3", "vision_config": {"hidden_size": 8},
            "text_config": )" + text_of(golden / "gemma3-2/config-4.json") +
                                        "}");
        check_same(*folder.load().weights, *load_model(golden / "gemma3-2")->weights);
        tensors["model.audio_tower.weight"] = {{1}, "12"};
        folder.write_tensors("model.safetensors", tensors);
        const auto refused = load_model(folder.path);
        REQUIRE(!refused.ok());
        CHECK(refused.error().message.find("model.audio_tower.weight") != std::string::npos);
    }
}

TEST_CASE("Shards are one model") {
    const ModelFolder folder;
    const Tensors tensors = tensors_of("olmo2-2");
    Tensors parts[2];
    std::string index;
    std::size_t count = 0;
    for (const auto& [name, tensor] : tensors) {
        const std::size_t part = count++ % 2;
        parts[part][name] = tensor;
        index +=
            (index.empty() ? "\"" : ", \"") + name + "\": \"part-" + std::to_string(part) + ".safetensors\"";
    }
    folder.write_tensors("part-0.safetensors", parts[0]);
    folder.write_tensors("part-1.safetensors", parts[1]);
    folder.write("model.safetensors.index.json", "{\"weight_map\": {" + index + "}}");
    folder.write("config.json", text_of(golden / "olmo2-2/config.json"));
    check_same(*folder.load().weights, *load_model(golden / "olmo2-2")->weights);
}

TEST_CASE("gpt-oss in MXFP4 is gpt-oss in BF16") {
    const auto bf16 = load_model(golden / "gpt-oss-2");
    const auto mxfp4 = load_model(golden / "gpt-oss-2-mxfp4");
    const auto gguf = load_model(golden / "gpt-oss-2/gpt-oss-2-MXFP4.gguf");
    REQUIRE((bf16.ok() && mxfp4.ok() && gguf.ok()));
    const auto row = [](const Tensor& tensor, std::uint32_t index) {
        std::vector<float> values(tensor.columns);
        dequantize_row(tensor, index, values.data());
        return values;
    };
    for (std::size_t layer = 0; layer < 2; ++layer) {
        for (std::size_t e = 0; e < 4; ++e) {
            const ExpertWeights& a = bf16->weights->layers[layer].experts[e];
            for (const auto* other : {&*mxfp4, &*gguf}) {
                const ExpertWeights& b = other->weights->layers[layer].experts[e];
                CHECK(b.gate.dtype == DType::mxfp4);
                for (const std::uint32_t r : {0U, 1U, 63U}) {
                    CHECK(row(a.gate, r) == row(b.gate, r));
                    CHECK(row(a.up, r) == row(b.up, r));
                    CHECK(row(a.down, r) == row(b.down, r));
                }
                CHECK(row(a.gate_bias, 0) == row(b.gate_bias, 0));
                CHECK(row(a.up_bias, 0) == row(b.up_bias, 0));
            }
        }
    }
}

}  // namespace troupe
