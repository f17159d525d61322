#include "conf/load.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/catch.hpp"

using namespace troupe;

namespace {

// A file that lives as long as the test.
class TomlFile {
  public:
    explicit TomlFile(const std::string& text)
        : path_(std::filesystem::temp_directory_path() /
                ("troupe_conf_" + std::to_string(::getpid()) + ".toml")) {
        std::ofstream(path_) << text;
    }
    ~TomlFile() { std::filesystem::remove(path_); }
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

using Texts = std::map<std::string, std::string>;

Result<Config> load(Texts flags, Texts environment = {}, const std::string& toml = {}) {
    const TomlFile file(toml);
    ConfigSources sources;
    sources.flags = std::move(flags);
    sources.config_file = toml.empty() ? "" : file.path();
    sources.environment = [&](const char* name) -> const char* {
        const auto found = environment.find(name);
        return found == environment.end() ? nullptr : found->second.c_str();
    };
    return load_config(sources);
}

// The message of a load that must fail.
std::string complaint(Texts flags, Texts environment = {}, const std::string& toml = {}) {
    const auto result = load(std::move(flags), std::move(environment), toml);
    REQUIRE_FALSE(result.ok());
    return result.error().message;
}

bool contains(const std::string& text, const std::string& part) {
    INFO(text);
    return text.find(part) != std::string::npos;
}

TEST_CASE("an option that is given or not is true or false in the file and the environment") {
    const auto load = [](const char* variable) {
        ConfigSources sources;
        sources.environment = [variable](const char* name) -> const char* {
            return std::string_view(name) == "TROUPE_ISOLATE_POLICY" ? variable : nullptr;
        };
        return load_config(sources);
    };
    CHECK_FALSE(load(nullptr).value().policy.isolate);
    CHECK(load("true").value().policy.isolate);
    CHECK_FALSE(load("0").value().policy.isolate);
    CHECK(load("maybe").error().message.find("allowed is true or false") != std::string::npos);
}

}  // namespace

TEST_CASE("nothing given leaves the defaults") {
    const Config config = load({}).value();
    CHECK(config.engine.max_num_seqs == EngineConfig{}.max_num_seqs);
    CHECK(config.server.port == 8000);
    CHECK(config.model.compute == ComputeType::automatic);
}

TEST_CASE("flags come before the environment, the environment before the file") {
    const std::string toml = "[engine]\nmax_num_seqs = 1\n[server]\nport = 1\nhost = 'file'\n";
    const Config config =
        load({{"--max-num-seqs", "3"}}, {{"TROUPE_MAX_NUM_SEQS", "2"}, {"TROUPE_PORT", "2"}}, toml).value();
    CHECK(config.engine.max_num_seqs == 3);
    CHECK(config.server.port == 2);
    CHECK(config.server.host == "file");
}

TEST_CASE("an empty variable counts as unset") {
    CHECK(load({}, {{"TROUPE_PORT", ""}}).value().server.port == 8000);
}

TEST_CASE("every kind of value is read from a file") {
    const Config config = load({}, {}, R"([model]
compute = "f32"
generation_config = "none"
[engine]
kv_memory = "512MiB"
fault_injection = "worker:throw@step=9,every=4"
[server]
max_body_size = 1048576
resume_grace = 2.5
retention = "1h"
[log]
format = "json"
level = "debug"
)")
                              .value();
    CHECK(config.model.compute == ComputeType::f32);
    CHECK_FALSE(config.model.generation_config);
    CHECK(config.engine.kv_memory == 512ULL << 20);
    CHECK(config.engine.fault_injection == FaultInjection{9, 4});
    CHECK(config.server.max_body_bytes == 1U << 20);
    CHECK(config.server.resume_grace_ms == 2500);
    CHECK(config.server.retention_ms == 3'600'000);
    CHECK(config.log.json);
    CHECK(config.log.level == "debug");
}

TEST_CASE("the environment can name the file") {
    const TomlFile file("[server]\nport = 77\n");
    ConfigSources sources;
    sources.environment = [&](const char* name) -> const char* {
        static std::string path;
        path = file.path();
        return std::string(name) == "TROUPE_CONFIG" ? path.c_str() : nullptr;
    };
    CHECK(load_config(sources).value().server.port == 77);
}

TEST_CASE("errors in the file name the file, the line and what is allowed") {
    CHECK(contains(complaint({}, {}, "[engine]\n\nmax_num_sequences = 4\n"),
                   ".toml:3: engine.max_num_sequences"));
    CHECK(contains(complaint({}, {}, "[engine]\nmax_num_sequences = 4\n"), "max_num_seqs"));
    CHECK(contains(complaint({}, {}, "[engin]\nthreads = 4\n"), "[engine]"));
    CHECK(contains(complaint({}, {}, "port = 4\n"), ".toml:1: port"));
    CHECK(contains(complaint({}, {}, "engine = 4\n"), "must be a table"));
    CHECK(contains(complaint({}, {}, "[engine]\nthreads = '4'\n"), "whole number"));
    CHECK(contains(complaint({}, {}, "[engine]\nkv_memory = true\n"), "512MiB"));
    CHECK(contains(complaint({}, {}, "[model]\npath = 4\n"), "string"));
    CHECK(contains(complaint({}, {}, "[server]\n\n\nport = 70000\n"),
                   ".toml:4: server.port: '70000' is out of range"));
    CHECK(contains(complaint({}, {}, "[server]\nport = -1\n"), "0 to 65535"));
    CHECK(contains(complaint({}, {}, "[server\nport = 1\n"), ".toml:1"));
}

TEST_CASE("a file that is absent is an error that names it") {
    ConfigSources sources;
    sources.config_file = "/nonexistent/troupe.toml";
    sources.environment = [](const char*) -> const char* { return nullptr; };
    const auto result = load_config(sources);
    REQUIRE_FALSE(result.ok());
    CHECK(contains(result.error().message, "/nonexistent/troupe.toml"));
}

TEST_CASE("a directory is no empty file") {
    ConfigSources sources;
    sources.config_file = std::filesystem::temp_directory_path().string();
    sources.environment = [](const char*) -> const char* { return nullptr; };
    const auto result = load_config(sources);
    REQUIRE_FALSE(result.ok());
    CHECK(contains(result.error().message, "is a directory"));
}

TEST_CASE("errors name the flag or the variable") {
    CHECK(contains(complaint({{"--max-num-seqs", "0"}}), "--max-num-seqs: '0' is out of range"));
    CHECK(contains(complaint({{"--compute", "bf16"}}), "auto, f32"));
    CHECK(contains(complaint({}, {{"TROUPE_PORT", "tcp://10.0.0.1:8000"}}),
                   "TROUPE_PORT: 'tcp://10.0.0.1:8000'"));
    CHECK(contains(complaint({{"--restart-backoff", "9s"}}), "--restart-backoff-max"));
    CHECK(contains(complaint({{"--host", ""}}), "--host"));
}

TEST_CASE("the KV cache has one size, the strongest source's") {
    CHECK(contains(complaint({{"--kv-blocks", "8"}, {"--kv-memory", "1GiB"}}), "give one of them"));
    const Config config = load({{"--kv-blocks", "8"}}, {{"TROUPE_KV_MEMORY", "1GiB"}}).value();
    CHECK(config.engine.kv_blocks == 8);
    CHECK(config.engine.kv_memory == 0);
}

TEST_CASE("prefix caching is turned off from every source") {
    CHECK_FALSE(load({}).value().engine.no_prefix_caching);
    CHECK(load({{"--no-prefix-caching", "true"}}).value().engine.no_prefix_caching);
    CHECK(load({}, {{"TROUPE_NO_PREFIX_CACHING", "true"}}).value().engine.no_prefix_caching);
    CHECK(load({}, {}, "[engine]\nno_prefix_caching = true").value().engine.no_prefix_caching);
    CHECK(contains(complaint({}, {{"TROUPE_NO_PREFIX_CACHING", "yes"}}), "true or false"));
}

TEST_CASE("several models have names, and come from every source") {
    using Models = std::vector<ModelSource>;
    const Models two{{"a", "/x,y.gguf"}, {"org/b", "dir"}};
    CHECK(load({{"--model", "a=/x,y.gguf\norg/b=dir"}})->model.models == two);
    CHECK(load({}, {{"TROUPE_MODEL", "a=/x,y.gguf,org/b=dir"}})->model.models == two);
    CHECK(load({}, {}, "[model]\npath = ['a=/x,y.gguf', 'org/b=dir']")->model.models == two);
    CHECK(load({{"--model", "/x=1,y.gguf"}})->model.models == Models{{"", "/x=1,y.gguf"}});
    CHECK(load({{"--model", "org/name:q8_0"}})->model.models == Models{{"", "org/name:q8_0"}});
    CHECK(load({{"--model", "a=x"}}, {{"TROUPE_MODEL", "b=y,c=z"}})->model.models == Models{{"a", "x"}});
    CHECK(contains(complaint({{"--model", "a=x\ny"}}), "NAME=PATH"));
    CHECK(contains(complaint({{"--model", "a=x\na=y"}}), "two models have the name 'a'"));
    CHECK(contains(complaint({{"--model", "a="}}), "NAME=PATH"));
    CHECK(contains(complaint({}, {}, "[model]\npath = ['a=x', 3]"), "array of strings"));
}

TEST_CASE("names of models: several for one, further ones of several, each of one model") {
    using Names = std::vector<ServedName>;
    CHECK(load({{"--served-model-name", "n"}})->model.served_names == Names{{"", "n"}});
    CHECK(load({{"--served-model-name", "n\nm,o/p"}})->model.served_names ==
          Names{{"", "n"}, {"", "m"}, {"", "o/p"}});
    CHECK(load({}, {}, "[model]\nserved_model_name = ['n', 'm']")->model.served_names ==
          Names{{"", "n"}, {"", "m"}});
    const std::string two = "a=x\nb=y";
    CHECK(load({{"--model", two}, {"--served-model-name", "a=n,b=m,a=o"}})->model.served_names ==
          Names{{"a", "n"}, {"b", "m"}, {"a", "o"}});
    const auto fails = [&](const std::string& models, const std::string& names) {
        const std::string text = complaint({{"--model", models}, {"--served-model-name", names}});
        CHECK(contains(text, "--served-model-name"));
        return text;
    };
    CHECK(contains(fails(two, "n"), "MODEL=n"));
    CHECK(contains(fails(two, "c=n"), "there is no --model c=PATH"));
    CHECK(contains(fails(two, "a=n,b=n"), "'n' is given twice"));
    CHECK(contains(fails(two, "a=b"), "'b' is given twice"));
    CHECK(contains(fails("x", "n,n"), "'n' is given twice"));
    CHECK(contains(fails("x", "n,,m"), "empty name"));
    CHECK(contains(fails("a=x", "a="), "empty name"));
    CHECK(load({{"--model", "a=x"}, {"--served-model-name", "a,b"}}).ok());  // the first replaces its NAME
    CHECK(contains(fails("a=x", "a=a"), "'a' is given twice"));
}

TEST_CASE("single models of several have memory and length of their own") {
    const std::map<std::string, std::string> two = {{"--model", "a=x\nb=y"}};
    const auto with = [&](const std::string& flag, const std::string& value) {
        auto flags = two;
        flags[flag] = value;
        return flags;
    };
    const EngineConfig memory = load(with("--kv-memory", "1GiB\na=64KiB"))->engine;
    CHECK(memory.kv_memory == 1U << 30);
    CHECK(memory.own_kv_memory == std::map<std::string, std::uint64_t>{{"a", 64U << 10}});
    const EngineConfig length = load(two, {{"TROUPE_MAX_MODEL_LEN", "a=100,b=200"}})->engine;
    CHECK(length.max_model_len == 0);
    CHECK(length.own_max_model_len == std::map<std::string, std::uint32_t>{{"a", 100}, {"b", 200}});
    const EngineConfig file =
        load(two, {}, "[engine]\nmax_model_len = ['50', 'b=60']\nkv_memory = 'a=1MiB'")->engine;
    CHECK(file.max_model_len == 50);
    CHECK(file.own_max_model_len == std::map<std::string, std::uint32_t>{{"b", 60}});
    CHECK(file.own_kv_memory.at("a") == 1U << 20);
    CHECK(load(with("--max-model-len", "7"), {{"TROUPE_MAX_MODEL_LEN", "a=100"}})
              ->engine.own_max_model_len.empty());
    CHECK(load(with("--kv-blocks", "7"), {{"TROUPE_KV_MEMORY", "a=1GiB"}})->engine.own_kv_memory.empty());
    CHECK(contains(complaint(with("--kv-memory", "c=1GiB")), "there is no --model c=PATH"));
    CHECK(contains(complaint(with("--max-model-len", "c=1")), "there is no --model c=PATH"));
    CHECK(contains(complaint(with("--kv-memory", "a=1GiB,a=2GiB")), "two values for the model 'a'"));
    CHECK(contains(complaint(with("--kv-memory", "1GiB,2GiB")), "two values for all models"));
    CHECK(contains(complaint(with("--kv-memory", "a=much")), "--kv-memory: 'much'"));
    CHECK(contains(complaint(with("--max-model-len", "a=")), "--max-model-len"));
}

TEST_CASE("the hub's places are those of Hugging Face's programs") {
    const HubConfig plain = load({}, {{"HOME", "/h"}})->hub;
    CHECK(plain.endpoint == "https://huggingface.co");
    CHECK(plain.cache == "/h/.cache/huggingface/hub");
    CHECK(plain.default_model == "/h/.cache/troupe/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    CHECK_FALSE(plain.offline);
    CHECK(load({}, {{"HOME", "/h"}, {"XDG_CACHE_HOME", "/c"}})->hub.cache == "/c/huggingface/hub");
    CHECK(load({}, {{"HF_HOME", "/hf"}})->hub.cache == "/hf/hub");
    CHECK(load({}, {{"HF_HOME", "/hf"}, {"HF_HUB_CACHE", "/hub"}})->hub.cache == "/hub");
    const HubConfig set =
        load({}, {{"HF_ENDPOINT", "http://mirror/"}, {"HF_TOKEN", "t"}, {"HF_HUB_OFFLINE", "true"}})->hub;
    CHECK(set.endpoint == "http://mirror");
    CHECK(set.token == "t");
    CHECK(set.offline);
}

TEST_CASE("a list stands between commas, or is an array in a file") {
    const auto origins = [](const Result<Config>& config) { return config.value().server.cors_origins; };
    const std::vector<std::string> both = {"https://a.example", "https://b.example"};
    CHECK(origins(load({{"--cors-origin", "https://a.example,https://b.example"}})) == both);
    CHECK(origins(load({}, {{"TROUPE_CORS_ORIGIN", "https://a.example,https://b.example"}})) == both);
    CHECK(origins(load({}, {}, "[server]\ncors_origin = [\"https://a.example\", \"https://b.example\"]\n")) ==
          both);
    CHECK(origins(load({}, {}, "[server]\ncors_origin = \"*\"\n")) == std::vector<std::string>{"*"});
    CHECK(contains(complaint({{"--cors-origin", "a,,b"}}), "empty value"));
    CHECK(contains(complaint({}, {}, "[server]\ncors_origin = [1]\n"), "array of strings"));
    CHECK(contains(complaint({}, {}, "[server]\ncors_origin = 1\n"), "must be a string"));
}

TEST_CASE("an origin is what a browser sends, or it could never match") {
    for (const char* good : {"*", "null", "https://a.example", "http://localhost:3000", "http://[::1]:3000",
                             "https://a.example:80", "chrome-extension://abcdef"}) {
        CAPTURE(good);
        CHECK(load({{"--cors-origin", good}}).ok());
    }
    for (const char* bad :
         {"example.com", "localhost:3000", "https://a.example/", "https://a.example/x", "HTTPS://a.example",
          "https://A.example", "https://", "://a", "https://a.example:443", "http://a.example:80",
          "https://*.example", "https://user@a.example", "https://a example", "//a.example"}) {
        CAPTURE(bad);
        CHECK(
            contains(complaint({{"--cors-origin", bad}}),
                     "--cors-origin: '" + std::string(bad) + "' is no origin; write it as browsers send it"));
    }
    CHECK(contains(complaint({{"--cors-origin", "https://a.example,b.example"}}), "'b.example'"));
    CHECK(contains(complaint({}, {{"TROUPE_CORS_ORIGIN", "b.example"}}), "TROUPE_CORS_ORIGIN: 'b.example'"));
}

TEST_CASE("an empty key is refused wherever it is given: it would let everybody in") {
    CHECK(contains(complaint({{"--api-key", ""}}), "--api-key: is empty; give a key or leave it out"));
    CHECK(contains(complaint({}, {{"TROUPE_API_KEY", ""}}), "TROUPE_API_KEY: is empty; give a key"));
    CHECK(contains(complaint({}, {}, "[server]\napi_key = \"\"\n"), "server.api_key: is empty"));
    CHECK(contains(complaint({{"--api-key-file", ""}}), "--api-key-file: is empty; give a path"));
    CHECK(contains(complaint({}, {{"TROUPE_API_KEY_FILE", ""}}), "TROUPE_API_KEY_FILE: is empty"));
    CHECK(load({}, {{"TROUPE_API_KEY", "secret"}}).value().server.api_key == "secret");
    CHECK(load({}, {{"TROUPE_ADMIN_API_KEY", ""}}).ok());  // /admin/ is closed without one
}

TEST_CASE("a Unix socket's mode is octal; a TLS key needs its certificate") {
    CHECK(load({{"--uds-mode", "600"}}).value().server.uds_mode == 0600);
    CHECK(contains(complaint({{"--uds-mode", "888"}}), "octal"));
    CHECK(contains(complaint({{"--uds-mode", "1777"}}), "octal"));
    CHECK(contains(complaint({{"--ssl-keyfile", "key.pem"}}), "--ssl-certfile"));
}
