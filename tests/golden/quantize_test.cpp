// `troupe quantize` and --quantize: a directory that is quantized while it is loaded computes, bit by bit,
// what the file computes that `troupe quantize` makes of it; and that file is arranged as the tests' own
// converter (make_models.py, which follows llama.cpp's) arranges it.
#include <unistd.h>

#include <map>

#include "model/convert/plan_from_gguf.hpp"
#include "model/convert/plan_from_model.hpp"
#include "model/gguf_form.hpp"
#include "test_paths.hpp"
#include "tests/golden/golden.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;

const fs::path models = fs::path(TROUPE_TEST_DATA) / "golden";
const fs::path stories = fs::path(TROUPE_TEST_DATA) / "stories260k";
const DType types[] = {DType::q8_0, DType::q4_0, DType::q4_1, DType::q4_k};

// What GGUF cannot say, and why.
const std::map<std::string, std::string> refused = {
    {"llama-dynamic", "dynamic"}, {"qwen2-window", "sliding window"}, {"qwen2-yarn", ""}};

struct Folder {
    fs::path path = fs::temp_directory_path() / ("troupe-golden-quantize-" + std::to_string(::getpid()));
    Folder() {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    ~Folder() { fs::remove_all(path); }
};

void one_after_another(std::size_t count, const std::function<void(std::size_t)>& body) {
    for (std::size_t i = 0; i < count; ++i) body(i);
}

Status quantize_directory(const fs::path& in, const fs::path& out, DType type) {
    TypeChooser chooser(type);
    auto plan = plan_from_model(golden::Runner::load(in), in, chooser);
    if (!plan) return plan.error();
    return write_gguf(plan->plan, out, one_after_another, {}, plan->check);
}

std::vector<TokenId> some_ids(const LoadedModel& model) {
    std::vector<TokenId> ids;
    for (std::uint32_t i = 0; i < 70; ++i)
        ids.push_back(static_cast<TokenId>((i * i * 31 + 7 * i + 1) % std::min(model.spec.vocab_size, 256U)));
    return ids;
}

void check_law(const fs::path& directory, const fs::path& file, DType type) {
    TypeChooser chooser(type);
    auto on_load = as_gguf(golden::Runner::load(directory), chooser);
    if (!on_load) FAIL(on_load.error().message);
    const auto ids = some_ids(*on_load);
    for (const Compute compute : {Compute::automatic, Compute::f32}) {
        golden::Runner of_file(file, compute);
        golden::Runner of_directory(*on_load, compute);
        const auto a = of_file.logits(ids, 0);
        const auto b = of_directory.logits(ids, 0);
        REQUIRE(a.size() == b.size());
        CHECK(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
    }
}

std::vector<fs::path> directories() {
    std::vector<fs::path> found{stories};
    for (const auto& entry : fs::directory_iterator(models))
        if (fs::exists(entry.path() / "model.safetensors")) found.push_back(entry.path());
    return found;
}

}  // namespace

TEST_CASE("--quantize computes what the quantized file computes, bit by bit") {
    const Folder folder;
    std::size_t written = 0;
    for (const fs::path& directory : directories()) {
        const std::string name = directory.filename().string();
        for (const DType type : types) {
            INFO(name << " " << dtype_name(type));
            const fs::path out = folder.path / "out.gguf";
            const Status status = quantize_directory(directory, out, type);
            if (const auto why = refused.find(name); why != refused.end() && !status) {
                CHECK(status.error().message.find(why->second) != std::string::npos);
                continue;
            }
            if (!status) FAIL(status.error().message);
            check_law(directory, out, type);
            ++written;
        }
    }
    CHECK(written >= 4 * 17);
}

TEST_CASE("The quantized file has the tensors of the tests' own converter") {
    const Folder folder;
    std::size_t compared = 0;
    for (const fs::path& directory : directories()) {
        for (const auto& entry : fs::directory_iterator(directory)) {
            if (entry.path().extension() != ".gguf") continue;
            INFO(entry.path().string());
            const fs::path ours = folder.path / "ours.gguf", theirs = folder.path / "theirs.gguf";
            REQUIRE(quantize_directory(directory, ours, DType::q8_0));
            {
                const auto file = GgufFile::open(entry.path());
                REQUIRE(file);
                TypeChooser chooser(DType::q8_0);
                REQUIRE(write_gguf(*plan_from_gguf(*file, chooser), theirs, one_after_another));
            }
            const auto a = GgufFile::open(ours), b = GgufFile::open(theirs);
            REQUIRE(a);
            REQUIRE(b);
            const bool same_values = entry.path().string().ends_with("-F32.gguf");
            for (const GgufTensor& tensor : b->tensors()) {
                INFO(tensor.name);
                const GgufTensor* other = a->find_tensor(tensor.name);
                REQUIRE(other);
                CHECK(other->dims == tensor.dims);
                if (!same_values) continue;
                CHECK(other->dtype == tensor.dtype);
                REQUIRE(other->bytes == tensor.bytes);
                CHECK(std::memcmp(other->data, tensor.data, tensor.bytes) == 0);
                ++compared;
            }
            CHECK(a->tensors().size() == b->tensors().size());
        }
    }
    CHECK(compared > 30);
}

// What arranging a model changes is the order of sums, no more.
TEST_CASE("A model in GGUF's form computes what it is") {
    for (const fs::path& directory : directories()) {
        TypeChooser chooser(DType::f32);
        auto form = as_gguf(golden::Runner::load(directory), chooser);
        if (!form) continue;
        INFO(directory.string());
        golden::Runner exact(directory, Compute::f32), arranged(*std::move(form), Compute::f32);
        const auto ids = some_ids(exact.model);
        const auto a = exact.logits(ids, ids.size() - 1), b = arranged.logits(ids, ids.size() - 1);
        CHECK(golden::relative(b, std::vector<double>(a.begin(), a.end())) < 1e-3);
    }
}

TEST_CASE("Quantized to Q8_0 a trained model is near what it was") {
    const Folder folder;
    REQUIRE(quantize_directory(stories, folder.path / "out.gguf", DType::q8_0));
    golden::Runner exact(stories, Compute::f32), quantized(folder.path / "out.gguf", Compute::f32);
    const auto ids = some_ids(exact.model);
    const auto a = exact.logits(ids, ids.size() - 1), b = quantized.logits(ids, ids.size() - 1);
    CHECK(golden::relative(b, std::vector<double>(a.begin(), a.end())) < 0.03);
}

TEST_CASE("What is quantized already is refused") {
    TypeChooser chooser(DType::q4_0);
    const auto twice = as_gguf(golden::Runner::load(models / "mixtral-2/mixtral-2-Q8_0.gguf"), chooser);
    REQUIRE_FALSE(twice);
    CHECK(twice.error().message.find("quantized already (Q8_0)") != std::string::npos);
}

// An F16 or F32 file may be quantized while it is loaded, too.
TEST_CASE("--quantize on a GGUF file in floats computes what the file quantized anew computes") {
    const Folder folder;
    const fs::path in = models / "llama-bias/llama-bias-F32.gguf", out = folder.path / "out.gguf";
    {
        const auto file = GgufFile::open(in);
        TypeChooser chooser(DType::q4_0);
        REQUIRE(write_gguf(*plan_from_gguf(*file, chooser), out, one_after_another));
    }
    check_law(in, out, DType::q4_0);
}

}  // namespace troupe
