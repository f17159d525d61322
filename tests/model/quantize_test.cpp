// The quantizers: how far from the weights they end, on what they must not stumble, and that a file which is
// quantized reads back as what was asked for.
#include "model/quantize/quantize.hpp"

#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <random>

#include "model/block_format.hpp"
#include "model/convert/plan_from_gguf.hpp"
#include "model/convert/tokenizer_metadata.hpp"
#include "model/float16.hpp"
#include "model/loader.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/gguf_writer.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

const DType written_types[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q4_k};

struct Folder {
    fs::path path = fs::temp_directory_path() / ("troupe-quantize-" + std::to_string(::getpid()));
    Folder() {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    ~Folder() { fs::remove_all(path); }
};

void one_after_another(std::size_t count, const std::function<void(std::size_t)>& body) {
    for (std::size_t i = 0; i < count; ++i) body(i);
}

Result<GgufPlan> plan_for(const GgufFile& file, DType type) {
    TypeChooser types(type);
    return plan_from_gguf(file, types);
}

std::vector<float> gaussian(std::size_t count, float spread, float mean = 0.0F) {
    std::mt19937 bits(7);
    std::normal_distribution<float> values(mean, spread);
    std::vector<float> out(count);
    for (float& x : out) x = values(bits);
    return out;
}

std::vector<float> there_and_back(DType type, const std::vector<float>& x, bool& good) {
    std::vector<std::byte> bytes(row_bytes(type, x.size()));
    good = quantize_row(type, x.data(), x.size(), bytes.data());
    std::vector<float> out(x.size());
    dequantize_row({type, 1, static_cast<std::uint32_t>(x.size()), bytes.data()}, 0, out.data());
    return out;
}

// Root of the squared error by that of the squares.
double relative_error(DType type, const std::vector<float>& x) {
    bool good = false;
    const auto back = there_and_back(type, x, good);
    CHECK(good);
    double error = 0, size = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        error += (x[i] - back[i]) * static_cast<double>(x[i] - back[i]);
        size += static_cast<double>(x[i]) * x[i];
    }
    return std::sqrt(error / size);
}

}  // namespace

TEST_CASE("Quantized weights are near the weights", "[quantize]") {
    // The least that is known of the formats: rounding to the largest value alone gives 0.0053, 0.0875, 0.078
    // and, of the plain Q4_K, 0.075 on gaussian weights.
    const auto x = gaussian(256 * 64, 0.02F);
    CHECK(relative_error(DType::q8_0, x) < 0.0054);
    CHECK(relative_error(DType::q4_0, x) < 0.0835);
    CHECK(relative_error(DType::q4_1, x) < 0.073);
    CHECK(relative_error(DType::q4_k, x) < 0.074);
    // All of one sign: those with a minimum gain by it, if it may have that sign.
    const auto negative = gaussian(256 * 16, 0.01F, -0.1F);
    CHECK(relative_error(DType::q4_1, negative) < 0.01);
    CHECK(relative_error(DType::q4_k, negative) < 0.02);  // 6 bits for what the minimum is
}

TEST_CASE("What quantizers must not stumble on", "[quantize]") {
    bool good = false;
    for (const DType type : written_types) {
        INFO(dtype_name(type));
        const std::vector<float> zeros(256, 0.0F);
        CHECK(there_and_back(type, zeros, good) == zeros);
        CHECK(good);
        for (const float same : {0.5F, -0.25F, 1e-3F}) {
            const auto back = there_and_back(type, std::vector<float>(256, same), good);
            CHECK(good);
            for (const float y : back) REQUIRE(std::fabs(y - same) <= 0.02F * std::fabs(same));
        }
        for (const float spread : {1e-30F, 1e-7F, 1e3F}) {
            const auto back = there_and_back(type, gaussian(512, spread), good);
            CHECK(good);
            for (const float y : back) REQUIRE(std::isfinite(y));
        }
        for (const float bad :
             {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), 1e20F}) {
            auto x = gaussian(512, 1.0F);
            x[300] = bad;
            const auto back = there_and_back(type, x, good);
            CHECK_FALSE(good);
            CHECK(std::isnan(back[300]));
            CHECK(std::isfinite(back[0]));
        }
    }
}

// Not a copy of its formulas: rounding with these codes and other scales near by gives no smaller error.
TEST_CASE("Q8_0 rounds to the nearest code of the scale that is stored", "[quantize]") {
    const auto x = gaussian(32, 0.3F);
    std::vector<std::byte> bytes(34);
    REQUIRE(quantize_row(DType::q8_0, x.data(), 32, bytes.data()));
    Half scale;
    std::memcpy(&scale.bits, bytes.data(), 2);
    for (std::size_t i = 0; i < 32; ++i) {
        const auto code = static_cast<std::int8_t>(std::to_integer<int>(bytes[2 + i]));
        CHECK(std::fabs(x[i] - to_float(scale) * static_cast<float>(code)) <= 0.501F * to_float(scale));
    }
}

TEST_CASE("A GGUF file quantized anew has its metadata, its vectors, and matrices of the type",
          "[quantize]") {
    const Folder folder;
    const fs::path in = fs::path(TROUPE_TEST_DATA) / "golden/llama-bias/llama-bias-F32.gguf";
    auto file = GgufFile::open(in);
    REQUIRE(file);
    for (const DType type : written_types) {
        INFO(dtype_name(type));
        TypeChooser types(type);
        const auto plan = plan_from_gguf(*file, types);
        REQUIRE(plan);
        const fs::path out = folder.path / "out.gguf";
        std::uint64_t last = 0, all = 0;
        REQUIRE(write_gguf(*plan, out, one_after_another, [&](std::uint64_t done, std::uint64_t total) {
            CHECK(done > last);
            last = done;
            all = total;
        }));
        CHECK(last == all);
        const auto written = GgufFile::open(out);
        REQUIRE(written);
        CHECK(written->tensors().size() == file->tensors().size());
        for (const auto& [key, value] : file->metadata()) {
            if (key == "general.file_type") continue;
            const auto found = written->metadata().find(key);
            REQUIRE(found != written->metadata().end());
            CHECK(found->second.type == value.type);
            REQUIRE(found->second.data.size() == value.data.size());
            CHECK(std::memcmp(found->second.data.data(), value.data.data(), value.data.size()) == 0);
        }
        for (const GgufTensor& tensor : file->tensors()) {
            const GgufTensor* other = written->find_tensor(tensor.name);
            REQUIRE(other);
            CHECK(other->dims == tensor.dims);
            if (tensor.dims.size() == 1) {
                CHECK(other->dtype == tensor.dtype);
                CHECK(std::memcmp(other->data, tensor.data, tensor.bytes) == 0);
            } else if (tensor.name == "token_embd.weight" || tensor.name == "output.weight") {
                CHECK(other->dtype == DType::q8_0);
            } else {
                const bool fits = tensor.dims[0] % block_columns(type) == 0;
                CHECK(other->dtype == (fits ? type : DType::q4_1));
            }
        }
        if (type == DType::q4_k) CHECK(plan->notes.size() > 0);
        CHECK(load_model(out));
    }
}

TEST_CASE("Quantizing a file once more to its own type changes nothing", "[quantize]") {
    const Folder folder;
    const auto once = folder.path / "once.gguf", twice = folder.path / "twice.gguf";
    {
        auto file = GgufFile::open(fs::path(TROUPE_TEST_DATA) / "golden/llama-bias/llama-bias-F32.gguf");
        REQUIRE(write_gguf(*plan_for(*file, DType::q4_1), once, one_after_another));
    }
    auto file = GgufFile::open(once);
    REQUIRE(write_gguf(*plan_for(*file, DType::q4_1), twice, one_after_another));
    const auto bytes = [](const fs::path& path) {
        std::ifstream stream(path, std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(stream), {});
    };
    CHECK(bytes(once) == bytes(twice));
}

TEST_CASE("A failure leaves what was there", "[quantize]") {
    const Folder folder;
    GgufWriter small = GgufWriter::tiny_llama();
    small.write(folder.path / "in.gguf");
    auto file = GgufFile::open(folder.path / "in.gguf");
    REQUIRE(file);
    auto plan = plan_for(*file, DType::q8_0);
    REQUIRE(plan);
    const fs::path out = folder.path / "out.gguf";
    std::ofstream(out) << "before";
    SECTION("a damaged weight") {
        const std::vector<float> bad(64 * 32, std::numeric_limits<float>::infinity());
        for (PlannedTensor& tensor : plan->tensors)
            if (tensor.name == "token_embd.weight")
                tensor.parts[0].data = reinterpret_cast<const std::byte*>(bad.data());
        const Status status = write_gguf(*plan, out, one_after_another);
        REQUIRE_FALSE(status);
        CHECK(status.error().message.find("token_embd.weight") != std::string::npos);
    }
    SECTION("a check that fails") {
        const Status status = write_gguf(*plan, out, one_after_another, {}, [](const fs::path& written) {
            CHECK(load_model(written));
            return Status(invalid_argument("no"));
        });
        REQUIRE_FALSE(status);
    }
    SECTION("a full disk") {
        if (!fs::exists("/dev/full")) return;
        fs::create_symlink("/dev/full", folder.path / "out.gguf.partial");
        const Status status = write_gguf(*plan, out, one_after_another);
        REQUIRE_FALSE(status);
        CHECK(status.error().message.find("free some space") != std::string::npos);
    }
    CHECK_FALSE(fs::exists(folder.path / "out.gguf.partial"));
    std::ifstream stream(out);
    CHECK(std::string(std::istreambuf_iterator<char>(stream), {}) == "before");
}

// The converted tokenizer against the original on the texts of tests/data/tokenizers, and what is refused.
TEST_CASE("A tokenizer.json becomes GGUF metadata that cuts texts alike, or is refused", "[quantize]") {
    const Folder folder;
    const std::map<std::string, std::string> expected = {
        {"byte-level", "gpt2"},     {"nfc", "gpt2"},
        {"o200k", "gpt2"},          {"split", "gpt2"},
        {"sentencepiece", "llama"}, {"falcon", "no name for"},
        {"affixes", "no name for"}, {"unigram", "no BPE"}};
    for (const auto& [name, outcome] : expected) {
        INFO(name);
        const fs::path directory = fs::path(TROUPE_TEST_DATA) / "tokenizers" / name;
        LoadedModel model;
        model.tokenizer = *load_tokenizer(directory);
        model.spec.vocab_size = static_cast<std::uint32_t>(model.tokenizer->vocab_size()) + 3;  // padding
        GgufHead head;
        const Status set = set_tokenizer(head, model, directory);
        if (outcome != "gpt2" && outcome != "llama") {
            REQUIRE_FALSE(set);
            CHECK(set.error().message.find(outcome) != std::string::npos);
            continue;
        }
        if (!set) FAIL(set.error().message);
        head.set("general.architecture", "llama");
        const fs::path path = folder.path / "vocabulary.gguf";
        std::ofstream(path, std::ios::binary) << head.bytes(32);
        const auto file = GgufFile::open(path);
        REQUIRE(file);
        CHECK(*file->get_string("tokenizer.ggml.model") == outcome);
        CHECK(file->get_strings("tokenizer.ggml.tokens")->size() == model.spec.vocab_size);
        const Status alike = check_tokenizer(*file, *model.tokenizer);
        if (!alike) FAIL(alike.error().message);
        // And the check does find what differs.
        const auto other = fs::path(TROUPE_TEST_DATA) / "tokenizers" / (name == "split" ? "o200k" : "split");
        CHECK_FALSE(check_tokenizer(*file, **load_tokenizer(other)));
    }
}

TEST_CASE("Types that are not written are refused by name", "[quantize]") {
    CHECK(*parse_quantized_type("Q4_k", "--type") == DType::q4_k);
    const auto other = parse_quantized_type("q5_k", "--type");
    REQUIRE_FALSE(other);
    CHECK(other.error().message.find("q8_0, q4_0, q4_1 and q4_k") != std::string::npos);
}

}  // namespace troupe
