#include "apps/hub_files.hpp"

#include <string>

#include "tests/catch.hpp"

using namespace troupe;

namespace {

std::vector<std::string> chosen(const std::vector<std::string>& paths, const std::string& file = {}) {
    std::vector<HubFile> files;
    for (const std::string& path : paths) files.push_back({path, 0, {}});
    std::vector<std::string> result;
    const auto found = choose_hub_files(files, {"org/name", file});
    if (!found) return {"error: " + found.error().message};
    for (const HubFile& one : *found) result.push_back(one.path);
    return result;
}

bool contains(const std::string& text, const std::string& part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

using Paths = std::vector<std::string>;
const std::string commit(40, 'a');

std::string listing(const std::string& siblings) {
    return R"({"sha":")" + commit + R"(","siblings":[)" + siblings + "]}";
}

}  // namespace

TEST_CASE("names on the hub") {
    CHECK(parse_hub_name("HuggingFaceTB/SmolLM2-135M-Instruct")->repository ==
          "HuggingFaceTB/SmolLM2-135M-Instruct");
    CHECK(parse_hub_name("org/name.v1_x")->folder() == "models--org--name.v1_x");
    CHECK(parse_hub_name("org/name:Q8_0")->file == "Q8_0");
    CHECK(parse_hub_name("org/name:sub/model-Q8_0.gguf")->file == "sub/model-Q8_0.gguf");
    for (const char* bad : {"", "name", "/org/name", "org/", "/name", "org/name/more", "../name", "org/..",
                            "./name", "org/na me", "org/na\nme", "org/name:", "org/name:../x", "org/name:/x",
                            "org/na--me", "a:b/c", "org/name?x=1", "org/\xC3\xA9"}) {
        INFO(bad);
        CHECK_FALSE(parse_hub_name(bad));
    }
    CHECK_FALSE(parse_hub_name("org/" + std::string(200, 'x')));
}

TEST_CASE("what a listing says") {
    const std::string sha256(64, 'b'), sha1(40, 'c');
    const auto found = parse_hub_listing(listing(
        R"({"rfilename":"a/b.safetensors","size":9,"blobId":")" + sha1 + R"(","lfs":{"sha256":")" + sha256 +
        R"(","size":9}},{"rfilename":"config.json","size":3,"blobId":")" + sha1 + R"("},{"rfilename":"x"})"));
    REQUIRE(found.ok());
    CHECK(found->commit == commit);
    REQUIRE(found->files.size() == 3);
    CHECK(found->files[0].hash == sha256);
    CHECK(found->files[0].size == 9);
    CHECK(found->files[1].hash == sha1);
    CHECK(found->files[2].hash.empty());
}

TEST_CASE("a listing that would write elsewhere is refused") {
    for (const char* path :
         {"../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "..", "", "a\\\\b", "a\\u0000b", "a/"}) {
        INFO(path);
        CHECK_FALSE(parse_hub_listing(listing(R"({"rfilename":")" + std::string(path) + R"("})")).ok());
    }
    for (const char* json :
         {"", "[]", "{}", R"({"sha":"../..","siblings":[]})", R"({"sha":"main","siblings":[]})"}) {
        INFO(json);
        CHECK_FALSE(parse_hub_listing(json).ok());
    }
    // A hash becomes a file name.
    const auto odd = parse_hub_listing(listing(R"({"rfilename":"x","blobId":"../../x"})"));
    CHECK(odd->files[0].hash.empty());
}

TEST_CASE("safetensors come with what belongs to them, and without copies") {
    CHECK(chosen({".gitattributes", "README.md", "config.json", "model.safetensors", "onnx/model.onnx",
                  "onnx/model.safetensors", "tokenizer.json", "pytorch_model.bin"}) ==
          Paths{"config.json", "model.safetensors", "tokenizer.json"});
    CHECK(chosen({"config.json", "consolidated.safetensors", "model-00001-of-00002.safetensors",
                  "model-00002-of-00002.safetensors", "model.safetensors.index.json", "x.gguf"}) ==
          Paths{"config.json", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                "model.safetensors.index.json"});
    CHECK(contains(chosen({"README.md", "pytorch_model.bin"}).front(), "neither config.json"));
    CHECK(
        shards_of_index(R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors","c":"1.safetensors"}})") ==
        Paths{"1.safetensors", "2.safetensors"});
    CHECK(shards_of_index("{").empty());
}

TEST_CASE("of several GGUF files one is named or preferred") {
    const Paths three{"m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-Q8_0.gguf", "tokenizer.json"};
    CHECK(chosen({"config.json", "only.gguf"}) == Paths{"only.gguf"});
    CHECK(chosen(three) == Paths{"m-Q8_0.gguf"});
    CHECK(chosen(three, "q4_k_m") == Paths{"m-Q4_K_M.gguf"});
    CHECK(chosen(three, "m-Q2_K.gguf") == Paths{"m-Q2_K.gguf"});
    CHECK(contains(chosen(three, "Q5_0").front(), "there are: m-Q2_K.gguf, m-Q4_K_M.gguf, m-Q8_0.gguf"));
    CHECK(contains(chosen({"a.gguf", "b.gguf"}).front(), "org/name:FILE. There are: a.gguf, b.gguf"));
    CHECK(contains(chosen({"a-Q8_0.gguf", "b-Q8_0.gguf"}, "Q8_0").front(), "several"));
    // Named explicitly, it wins over safetensors.
    CHECK(chosen({"config.json", "model.safetensors", "m-Q8_0.gguf"}, "Q8_0") == Paths{"m-Q8_0.gguf"});
}
