#include "model/formats/safetensors.hpp"

#include "tests/catch.hpp"
#include "tests/model/formats/file_builders.hpp"

namespace troupe {

namespace {

using testing::safetensors_bytes;
using testing::TempDirectory;

constexpr std::string_view good_header =
    R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
    R"("b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},"s":{"dtype":"F16","shape":[],"data_offsets":[32,34]}})";

std::string refusal(const std::string& bytes) {
    const TempDirectory directory;
    const auto path = directory.write("model.safetensors", bytes);
    const auto file = SafetensorsFile::open(path);
    if (file) return {};
    CHECK(file.error().message.find(path.string()) != std::string::npos);
    return file.error().message;
}

void check_refused(std::string_view header, const std::string& reason) {
    const std::string message = refusal(safetensors_bytes(header, std::string(64, '\2')));
    INFO(message);
    CHECK(message.find(reason) != std::string::npos);
}

std::string tensor(const std::string& description) { return "{\"t\":{" + description + "}}"; }

}  // namespace

TEST_CASE("a safetensors file's tensors lie in the mapping") {
    const TempDirectory directory;
    directory.write("model.safetensors", safetensors_bytes(good_header, std::string(34, '\2')));
    const auto file = SafetensorsFile::open_directory(directory.path());
    REQUIRE(file.ok());
    CHECK(file->tensors().size() == 3);
    const SafeTensor* a = file->find_tensor("a");
    REQUIRE(a != nullptr);
    CHECK(a->dtype == DType::f32);
    CHECK(a->shape == std::vector<std::uint64_t>{2, 3});
    CHECK(a->bytes == 24);
    CHECK(*a->data == std::byte{2});
    CHECK(file->find_tensor("b")->data == a->data + 24);
    CHECK(file->find_tensor("s")->shape.empty());
    CHECK(file->find_tensor("absent") == nullptr);
}

TEST_CASE("a safetensors file cut short anywhere is refused") {
    const std::string whole = safetensors_bytes(good_header, std::string(34, '\2'));
    for (std::size_t size = 1; size < whole.size(); ++size) {
        if (refusal(whole.substr(0, size)).empty()) FAIL("accepted with " << size << " bytes");
    }
}

TEST_CASE("a safetensors file with any byte of its header changed is read or refused, never worse") {
    const std::string whole = safetensors_bytes(good_header, std::string(34, '\2'));
    for (std::size_t i = 0; i < whole.size() - 34; ++i) {
        for (const char flip : {'\x01', '\x10', '\x80'}) {
            std::string bytes = whole;
            bytes[i] = static_cast<char>(bytes[i] ^ flip);
            refusal(bytes);
        }
    }
}

TEST_CASE("lies in a safetensors header are refused by name") {
    CHECK(refusal(testing::raw(UINT64_MAX) + "{}").find("claims 18446744073709551615 bytes") !=
          std::string::npos);
    check_refused("{", "not a JSON object");
    check_refused("[1]", "not a JSON object");
    check_refused(R"({"t":1})", "should be described by");
    check_refused(tensor(R"("dtype":"I64","shape":[1],"data_offsets":[0,8])"), "has the type I64");
    check_refused(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "shape");
    check_refused(tensor(R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])"), "shape");
    check_refused(tensor(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4])"),
                  "too large");
    check_refused(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "ascending");
    check_refused(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), "ascending");
    check_refused(tensor(R"("dtype":"F32","shape":[20],"data_offsets":[0,80])"), "ends at offset 80");
    check_refused(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "make 8");
    check_refused(
        R"({"t":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"t":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
        "appears twice");
    check_refused(
        R"({"t":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"u":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
        "overlap");
    check_refused(std::string(3000, '['), "not a JSON object");
}

TEST_CASE("shards are read as one") {
    const TempDirectory directory;
    directory.write("model-1.safetensors",
                    safetensors_bytes(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])"), "aaaa"));
    directory.write("model-2.safetensors",
                    safetensors_bytes(R"({"u":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "bbbb"));
    const auto open_with = [&directory](const std::string& weight_map) {
        directory.write("model.safetensors.index.json", "{\"weight_map\":" + weight_map + "}");
        return SafetensorsFile::open_directory(directory.path());
    };
    const auto whole = open_with(R"({"t":"model-1.safetensors","u":"model-2.safetensors"})");
    REQUIRE(whole.ok());
    CHECK(whole->storage().size() == 2);
    CHECK(*whole->find_tensor("u")->data == std::byte{'b'});

    const auto refused = [&](const std::string& weight_map, const std::string& reason) {
        const auto file = open_with(weight_map);
        REQUIRE_FALSE(file.ok());
        INFO(file.error().message);
        CHECK(file.error().message.find(reason) != std::string::npos);
    };
    refused(R"({"t":"../model-1.safetensors"})", "not the name of a file in the directory");
    refused(R"({"t":"/etc/passwd"})", "not the name of a file in the directory");
    refused(R"({"t":".."})", "not the name of a file in the directory");
    refused(R"({"t":7})", "not the name of a file in the directory");
    refused(R"({"x":"model-1.safetensors"})", "is not in the shard");
    refused(R"({"t":"model-3.safetensors"})", "model-3.safetensors");
    refused("7", "weight_map");
}

TEST_CASE("a directory without weights says what is missing") {
    const TempDirectory directory;
    const auto file = SafetensorsFile::open_directory(directory.path());
    REQUIRE_FALSE(file.ok());
    CHECK(file.error().code == ErrorCode::not_found);
}

}  // namespace troupe
