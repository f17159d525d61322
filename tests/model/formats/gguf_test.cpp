#include "model/formats/gguf.hpp"

#include "tests/catch.hpp"
#include "tests/model/formats/file_builders.hpp"

namespace troupe {

namespace {

using testing::gguf_string;
using testing::GgufBuilder;
using testing::raw;
using testing::TempDirectory;

GgufBuilder good_file() {
    GgufBuilder file;
    file.string("general.architecture", "llama");
    file.value<std::uint32_t>("a.uint", 4, 7).value<std::int8_t>("a.negative", 1, -3);
    file.value<std::uint64_t>("a.huge", 10, UINT64_MAX).value<float>("a.float", 6, 1.5F);
    file.value<double>("a.double", 12, 0.25).value<std::uint8_t>("a.bool", 7, 1);
    file.array("some.strings", 8, 3, gguf_string("x") + gguf_string("") + gguf_string("zzz"));
    file.array("some.floats", 6, 2, raw(0.5F) + raw(-2.0F));
    file.array("some.ints", 5, 2, raw<std::int32_t>(-1) + raw<std::int32_t>(9));
    file.array("nested", 9, 2,
               raw<std::uint32_t>(0) + raw<std::uint64_t>(2) + "ab" + raw<std::uint32_t>(8) +
                   raw<std::uint64_t>(1) + gguf_string("q"));
    file.tensor("weights", {4, 2}, 0, 0).tensor("blocks", {32, 3}, 2, 32).tensor("later", {256}, 22, 96);
    file.data = std::string(96 + 82, '\1');
    return file;
}

// The message with which a file is refused; empty if it is not.
std::string refusal(const std::string& bytes) {
    const TempDirectory directory;
    const auto path = directory.write("a.gguf", bytes);
    const auto file = GgufFile::open(path);
    if (file) return {};
    CHECK(file.error().message.find(path.string()) != std::string::npos);
    return file.error().message;
}

bool refused_for(const GgufBuilder& file, const std::string& reason) {
    const std::string message = refusal(file.bytes());
    INFO(message);
    CHECK(message.find(reason) != std::string::npos);
    return !message.empty();
}

}  // namespace

TEST_CASE("a GGUF file's metadata are read by type") {
    const TempDirectory directory;
    for (const std::uint32_t version : {2U, 3U}) {
        GgufBuilder builder = good_file();
        builder.version = version;
        const auto file = GgufFile::open(directory.write("good.gguf", builder.bytes()));
        REQUIRE(file.ok());
        CHECK(file->get_string("general.architecture") == "llama");
        CHECK(file->get_uint("a.uint") == 7U);
        CHECK(file->get_uint("a.huge") == UINT64_MAX);
        CHECK_FALSE(file->get_uint("a.negative"));
        CHECK(file->get_float("a.float") == 1.5);
        CHECK(file->get_float("a.double") == 0.25);
        CHECK(file->get_bool("a.bool") == true);
        CHECK(file->get_strings("some.strings") == std::vector<std::string_view>{"x", "", "zzz"});
        CHECK(file->get_floats("some.floats") == std::vector<float>{0.5F, -2.0F});
        CHECK(file->get_ints("some.ints") == std::vector<std::int64_t>{-1, 9});
        CHECK(file->has("nested"));
        CHECK_FALSE(file->has("absent"));
        CHECK_FALSE(file->get_uint("a.float"));
        CHECK_FALSE(file->get_strings("some.ints"));
        CHECK(*file->uint_or("absent", 5) == 5);
        CHECK(*file->uint_or("a.uint", 5) == 7);
        CHECK(file->uint_or("a.float", 5).error().message.find("stored as float32") != std::string::npos);
        CHECK(file->require_string("absent").error().message.find("is missing") != std::string::npos);
        CHECK(file->require_float("some.ints").error().message.find("array of int32") != std::string::npos);
    }
}

TEST_CASE("a GGUF file's tensors lie in the mapping") {
    const TempDirectory directory;
    const auto file = GgufFile::open(directory.write("good.gguf", good_file().bytes()));
    REQUIRE(file.ok());
    REQUIRE(file->tensors().size() == 3);
    const GgufTensor* weights = file->find_tensor("weights");
    REQUIRE(weights != nullptr);
    CHECK(weights->dims == std::vector<std::uint64_t>{4, 2});
    CHECK(weights->dtype == DType::f32);
    CHECK(weights->bytes == 32);
    CHECK(*weights->data == std::byte{1});
    CHECK(file->find_tensor("blocks")->bytes == 3 * 18);
    CHECK(file->find_tensor("blocks")->data == weights->data + 32);
    CHECK_FALSE(file->find_tensor("later")->dtype.has_value());
    CHECK(file->find_tensor("later")->type_name == "IQ2_S");
    CHECK(file->find_tensor("absent") == nullptr);
}

TEST_CASE("a GGUF file may have only a vocabulary") {
    GgufBuilder file;
    file.string("k", "v");
    CHECK(refusal(file.bytes()).empty());
}

TEST_CASE("a GGUF file cut short anywhere is refused") {
    const std::string whole = good_file().bytes();
    for (std::size_t size = 1; size < whole.size(); ++size) {
        if (refusal(whole.substr(0, size)).empty()) FAIL("accepted with " << size << " bytes");
    }
    CHECK(refusal(whole).empty());
}

TEST_CASE("a GGUF file with any byte changed is read or refused, never worse") {
    const std::string whole = good_file().bytes();
    for (std::size_t i = 0; i < whole.size() - 240; ++i) {
        for (const char flip : {'\x01', '\x80', '\xFF'}) {
            std::string bytes = whole;
            bytes[i] = static_cast<char>(bytes[i] ^ flip);
            refusal(bytes);
        }
    }
}

TEST_CASE("lies in a GGUF file are refused by name") {
    GgufBuilder file = good_file();
    SECTION("magic") {
        file.magic = "GGML";
        CHECK(refused_for(file, "not a GGUF file"));
    }
    SECTION("version") {
        file.version = 1;
        CHECK(refused_for(file, "GGUF version 1 is not supported"));
    }
    SECTION("byte order") {
        file.version = 0x03000000;
        CHECK(refused_for(file, "big-endian"));
    }
    SECTION("number of metadata") {
        file.num_metadata = UINT64_MAX;
        CHECK(refused_for(file, "metadata entries, more than"));
    }
    SECTION("number of tensors") {
        file.num_tensors = std::uint64_t{1} << 60;
        CHECK(refused_for(file, "tensors, more than"));
    }
    SECTION("length of a string") {
        file.entry("s", 8, raw<std::uint64_t>(UINT64_MAX));
        CHECK(refused_for(file, "inside the value of metadata key 's'"));
    }
    SECTION("length of an array") {
        file.array("s", 10, UINT64_MAX / 2, "");
        CHECK(refused_for(file, "inside the array of metadata key 's'"));
    }
    SECTION("length of an array of strings") {
        file.array("s", 8, UINT64_MAX, "");
        CHECK(refused_for(file, "metadata key 's'"));
    }
    SECTION("arrays of arrays of arrays") {
        std::string deep;
        for (int i = 0; i < 10; ++i) deep += raw<std::uint32_t>(9) + raw<std::uint64_t>(1);
        file.entry("s", 9, deep);
        CHECK(refused_for(file, "nests arrays deeper"));
    }
    SECTION("type of a value") {
        file.entry("s", 13, "");
        CHECK(refused_for(file, "unknown value type 13"));
    }
    SECTION("a key twice") {
        file.string("a.uint", "x");
        CHECK(refused_for(file, "'a.uint' appears twice"));
    }
    SECTION("alignment") {
        file.value<std::uint32_t>("general.alignment", 4, 24);
        CHECK(refused_for(file, "general.alignment is 24"));
    }
    SECTION("alignment of another type") {
        file.string("general.alignment", "32");
        CHECK(refused_for(file, "general.alignment"));
    }
    SECTION("a tensor twice") {
        file.tensor("weights", {4}, 0, 0);
        CHECK(refused_for(file, "'weights' appears twice"));
    }
    SECTION("type of a tensor") {
        file.tensor("t", {4}, 77, 0);
        CHECK(refused_for(file, "unknown type 77"));
    }
    SECTION("dimensions") {
        file.tensor("t", {1, 1, 1, 1, 1}, 0, 0);
        CHECK(refused_for(file, "5 dimensions"));
    }
    SECTION("a dimension of nothing") {
        file.tensor("t", {4, 0}, 0, 0);
        CHECK(refused_for(file, "dimension of 0"));
    }
    SECTION("more elements than there are numbers") {
        file.tensor("t", {std::uint64_t{1} << 40, std::uint64_t{1} << 40}, 0, 0);
        CHECK(refused_for(file, "can be counted"));
    }
    SECTION("half a block") {
        file.tensor("t", {48}, 2, 0);
        CHECK(refused_for(file, "needs a multiple of 32"));
    }
    SECTION("offset between alignments") {
        file.tensor("t", {1}, 0, 4);
        CHECK(refused_for(file, "not a multiple of the alignment"));
    }
    SECTION("past the end") {
        file.tensor("t", {1024}, 0, 192);
        CHECK(refused_for(file, "past the end"));
    }
    SECTION("offset that wraps around") {
        file.tensor("t", {8}, 0, UINT64_MAX - 31);
        CHECK(refused_for(file, "past the end"));
    }
    SECTION("overlap") {
        file.tensor("t", {16}, 0, 32);
        CHECK(refused_for(file, "overlap"));
    }
}

TEST_CASE("files that are no files are refused") {
    const TempDirectory directory;
    CHECK(MappedFile::open(directory.path() / "absent").error().code == ErrorCode::not_found);
    CHECK(MappedFile::open(directory.path()).error().message.find("not a regular file") != std::string::npos);
    CHECK(MappedFile::open(directory.write("empty", "")).error().message.find("empty") != std::string::npos);
    const auto file = MappedFile::open(directory.write("some", "abc"));
    REQUIRE(file.ok());
    CHECK((*file)->size() == 3);
}

}  // namespace troupe
