#include "conf/schema.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <sstream>
#include <utility>

#include "conf/values.hpp"

namespace troupe {
namespace {

// Where in Config an option's value lives.
template <class Part, class Field>
struct Place {
    Part Config::*part;
    Field Part::*field;
    Field& in(Config& config) const { return config.*part.*field; }
    Field in(const Config& config) const { return config.*part.*field; }
};

struct Name {
    std::string flag, section, key;
};

template <class Part, class Field>
Option integer(Name name, Place<Part, Field> place, std::uint64_t low, std::uint64_t high, std::string help,
               std::string zero_means = {}) {
    Option option{name.flag, name.section, name.key, ValueKind::integer, "N", {}, {}, std::move(help), {}};
    option.allowed = std::to_string(low) + " to " + std::to_string(high);
    option.default_value = zero_means.empty() ? std::to_string(place.in(Config{})) : zero_means;
    option.set = [place, low, high](Config& config, std::string_view text) -> Status {
        const auto value = parse_integer(text, low, high);
        if (!value) return value.error();
        place.in(config) = static_cast<Field>(*value);
        return {};
    };
    return option;
}

template <class Part, class Field>
Option size(Name name, Place<Part, Field> place, std::uint64_t low, std::uint64_t high, std::string help,
            std::string zero_means = {}) {
    Option option{name.flag, name.section, name.key, ValueKind::size, "SIZE", {}, {}, std::move(help), {}};
    const std::string range = "from " + format_size(low) + (high == 0 ? "" : " to " + format_size(high));
    option.allowed = range;
    option.default_value = zero_means.empty() ? format_size(place.in(Config{})) : zero_means;
    option.set = [place, low, high, range](Config& config, std::string_view text) -> Status {
        const auto value = parse_size(text);
        if (!value) return value.error();
        if (*value < low || (high != 0 && *value > high)) {
            return invalid_argument("'" + std::string(text) + "' is out of range; allowed is " + range);
        }
        place.in(config) = static_cast<Field>(*value);
        return {};
    };
    return option;
}

template <class Part>
Option duration(Name name, Place<Part, std::uint32_t> place, std::uint32_t low_ms, std::string help) {
    Option option{name.flag, name.section,    name.key, ValueKind::duration, "TIME", {},
                  {},        std::move(help), {}};
    option.allowed = "from " + format_duration(low_ms);
    option.default_value = format_duration(place.in(Config{}));
    option.set = [place, low_ms](Config& config, std::string_view text) -> Status {
        const auto value = parse_duration(text);
        if (!value) return value.error();
        if (*value < low_ms) {
            return invalid_argument("'" + std::string(text) + "' is too short; at least " +
                                    format_duration(low_ms) + " is allowed");
        }
        place.in(config) = *value;
        return {};
    };
    return option;
}

// Given or not; in the environment and the file true or false.
template <class Part>
Option flag(Name name, Place<Part, bool> place, std::string help) {
    Option option{name.flag, name.section,    name.key, ValueKind::flag, "true|false", "true, false",
                  "false",   std::move(help), {}};
    option.set = [place](Config& config, std::string_view given) -> Status {
        const bool on = given == "true" || given == "1", off = given == "false" || given == "0";
        if (!on && !off)
            return invalid_argument("'" + std::string(given) + "' is unknown; allowed is true or false");
        place.in(config) = on;
        return {};
    };
    return option;
}

template <class Part>
Option text(Name name, Place<Part, std::string> place, std::string metavar, std::string help,
            std::string empty_means = {}) {
    Option option{name.flag, name.section,    name.key, ValueKind::text, std::move(metavar), {},
                  {},        std::move(help), {}};
    option.default_value = empty_means.empty() ? place.in(Config{}) : empty_means;
    option.set = [place](Config& config, std::string_view value) -> Status {
        place.in(config) = std::string(value);
        return {};
    };
    return option;
}

// Values between commas, or the flag several times.
template <class Part>
Option list(Name name, Place<Part, std::vector<std::string>> place, std::string metavar, std::string help,
            std::string empty_means) {
    Option option{name.flag, name.section,    name.key, ValueKind::text, std::move(metavar), {},
                  {},        std::move(help), {}};
    option.default_value = std::move(empty_means);
    option.repeated = true;
    option.set = [place](Config& config, std::string_view given) -> Status {
        std::vector<std::string> values;
        for (std::size_t begin = 0; begin <= given.size();) {
            const std::size_t end = std::min(given.find_first_of(",\n", begin), given.size());
            const std::string_view value = given.substr(begin, end - begin);
            if (value.empty()) {
                return invalid_argument("'" + std::string(given) +
                                        "' holds an empty value between its commas");
            }
            values.emplace_back(value);
            begin = end + 1;
        }
        place.in(config) = std::move(values);
        return {};
    };
    return option;
}

// `option` with a value for all models, and NAME=VALUE for single ones of several: between commas, or the
// flag several times.
template <class Part, class Field>
Option for_models(Option option, Place<Part, Field> place, Place<Part, std::map<std::string, Field>> own) {
    option.metavar = "[NAME=]" + option.metavar;
    option.repeated = true;
    option.set = [place, own, set_one = option.set](Config& config, std::string_view given) -> Status {
        const Field otherwise = place.in(Config{});
        place.in(config) = otherwise;
        own.in(config).clear();
        bool any = false;  // for all
        for (std::size_t begin = 0; begin <= given.size();) {
            const std::size_t end = std::min(given.find_first_of(",\n", begin), given.size());
            const std::string_view word = given.substr(begin, end - begin);
            const std::size_t equals = word.find('=');
            const bool named = equals != std::string_view::npos;
            const std::string name(named ? word.substr(0, equals) : "");
            if (named ? own.in(config).contains(name) : std::exchange(any, true)) {
                return invalid_argument("'" + std::string(given) + "' has two values for " +
                                        (named ? "the model '" + name + "'" : "all models") + "; give one");
            }
            Config one;
            if (Status status = set_one(one, named ? word.substr(equals + 1) : word); !status) return status;
            (named ? own.in(config)[name] : place.in(config)) = place.in(one);
            begin = end + 1;
        }
        return {};
    };
    return option;
}

// What keeps others out. Empty it would silently let everybody in, so that is refused.
template <class Part>
Option guard(Name name, Place<Part, std::string> place, std::string metavar, std::string help,
             std::string absent_means) {
    Option option =
        text(std::move(name), place, std::move(metavar), std::move(help), std::move(absent_means));
    option.guards = true;
    option.set = [place, what = option.metavar == "KEY" ? "key" : "path"](Config& config,
                                                                          std::string_view value) -> Status {
        if (value.empty())
            return invalid_argument(std::string("is empty; give a ") + what + " or leave it out");
        place.in(config) = std::string(value);
        return {};
    };
    return option;
}

// Origins of web pages as browsers write them: https://example.org:8443, without a path.
template <class Part>
Option origins(Name name, Place<Part, std::vector<std::string>> place, std::string help,
               std::string empty_means) {
    Option option = list(std::move(name), place, "ORIGIN", std::move(help), std::move(empty_means));
    option.set = [place, read = option.set](Config& config, std::string_view given) -> Status {
        if (Status status = read(config, given); !status) return status;
        for (const std::string& origin : place.in(config)) {
            if (!is_origin(origin)) {
                return invalid_argument("'" + origin +
                                        "' is no origin; write it as browsers send it, such as "
                                        "https://example.org or http://localhost:3000, in small letters and "
                                        "without a path, or * for all");
            }
        }
        return {};
    };
    return option;
}

template <class Part>
Option permissions(Name name, Place<Part, std::uint32_t> place, std::string help) {
    Option option{name.flag, name.section,    name.key, ValueKind::text, "MODE", "0 to 777 in octal",
                  {},        std::move(help), {}};
    std::ostringstream octal;
    octal << std::oct << place.in(Config{});
    option.default_value = octal.str();
    option.set = [place](Config& config, std::string_view given) -> Status {
        std::uint32_t mode = 0;
        const auto [stop, failure] = std::from_chars(given.data(), given.data() + given.size(), mode, 8);
        if (failure != std::errc() || stop != given.data() + given.size() || mode > 0777) {
            return invalid_argument("'" + std::string(given) + "' is no mode; allowed is 0 to 777 in octal");
        }
        place.in(config) = mode;
        return {};
    };
    return option;
}

// One of a few words; the first is the default.
template <class Part, class Field>
Option choice(Name name, Place<Part, Field> place, std::vector<std::pair<std::string, Field>> words,
              std::string help) {
    std::string bar, comma;
    for (const auto& [word, value] : words) {
        bar += (bar.empty() ? "" : "|") + word;
        comma += (comma.empty() ? "" : ", ") + word;
    }
    Option option{name.flag, name.section, name.key, ValueKind::text, bar, comma, {}, std::move(help), {}};
    for (const auto& [word, value] : words) {
        if (value == place.in(Config{})) option.default_value = word;
    }
    option.set = [place, words = std::move(words), comma](Config& config, std::string_view given) -> Status {
        for (const auto& [word, value] : words) {
            if (word == given) {
                place.in(config) = value;
                return {};
            }
        }
        return invalid_argument("'" + std::string(given) + "' is unknown; allowed is one of " + comma);
    };
    return option;
}

template <class Part, class Field>
Place<Part, Field> at(Part Config::*part, Field Part::*field) {
    return {part, field};
}

void add_model_options(std::vector<Option>& all) {
    using M = ModelConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "model", key}; };
    Option model{"--model",
                 "model",
                 "path",
                 ValueKind::text,
                 "[NAME=]MODEL",
                 {},
                 "SmolLM2-135M-Instruct, as scripts/fetch-model stores it",
                 "The model: a GGUF file, a Hugging Face directory with config.json, safetensors files and "
                 "tokenizer.json, "
                 "or ORG/NAME[:FILE] on the Hugging Face hub, which is taken from its cache or downloaded "
                 "into it; FILE is a "
                 "GGUF file there, or names its quantization. With NAME= before it, it can be given several "
                 "times: one "
                 "server then has several models, and clients ask for one by its NAME (in the environment: "
                 "separated by "
                 "commas; in the file: an array).",
                 {}};
    model.repeated = true;
    model.set = [](Config& config, std::string_view given) -> Status {
        auto models = parse_models(given);
        if (!models) return models.error();
        config.model.models = *std::move(models);
        return {};
    };
    all.push_back(std::move(model));
    Option served{"--served-model-name",
                  "model",
                  "served_model_name",
                  ValueKind::text,
                  "[MODEL=]NAME",
                  {},
                  "the file's or directory's name",
                  "The name clients ask for in the field 'model'; several with commas, or the flag several "
                  "times: any of them is accepted, all are listed, and answers carry the first. Of several "
                  "models MODEL=NAME gives the one that --model calls MODEL a further name.",
                  {}};
    served.repeated = true;
    served.set = [](Config& config, std::string_view given) -> Status {
        auto names = parse_served_names(given);
        if (!names) return names.error();
        config.model.served_names = *std::move(names);
        return {};
    };
    all.push_back(std::move(served));
    all.push_back(
        choice(name("--compute", "compute"), at(&Config::model, &M::compute),
               {{"auto", ComputeType::automatic}, {"f32", ComputeType::f32}},
               "Arithmetic of the forward pass. auto is the fastest that this CPU does well; f32 is the "
               "reference: weights dequantized exactly, float32 activations and KV cache, several times "
               "slower."));
    all.push_back(choice(
        name("--kv-dtype", "kv_dtype"), at(&Config::model, &M::kv_dtype),
        {{"auto", KvDType::automatic},
         {"f16", KvDType::f16},
         {"bf16", KvDType::bf16},
         {"f32", KvDType::f32},
         {"int8", KvDType::int8}},
        "Type of the KV cache. auto is f16, or f32 with --compute f32. int8, with a scale for each token and "
        "head, takes about half of f16's memory and is less exact (docs/benchmarks.md)."));
    all.push_back(
        choice(name("--quantize", "quantize"), at(&Config::model, &M::quantize),
               {{"none", QuantizeType::none},
                {"q8_0", QuantizeType::q8_0},
                {"q4_0", QuantizeType::q4_0},
                {"q4_1", QuantizeType::q4_1},
                {"q4_k", QuantizeType::q4_k}},
               "Quantize weights in F32, F16 or BF16 while they are loaded, to what `troupe quantize` would "
               "write: the "
               "answers are the same as that file's. Models that are quantized already are refused."));
    all.push_back(choice(name("--generation-config", "generation_config"),
                         at(&Config::model, &M::generation_config), {{"auto", true}, {"none", false}},
                         "Where sampling defaults come from when a request leaves them out: the model's own "
                         "generation_config (auto), or neutral values (none)."));
    all.push_back(
        choice(name("--reasoning-parser", "reasoning_parser"), at(&Config::model, &M::split_reasoning),
               {{"auto", true}, {"none", false}},
               "What becomes of <think>...</think> in conversations, if the model's chat template knows "
               "it: reasoning_content of its own, apart from the content (auto), or content like "
               "everything else (none)."));
}

void add_engine_options(std::vector<Option>& all) {
    using E = EngineConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "engine", key}; };
    all.push_back(
        integer(name("--max-num-seqs", "max_num_seqs"), at(&Config::engine, &E::max_num_seqs), 1, 65536,
                "Sequences that run in one batch at the most. More gives more tokens per second in all, "
                "and fewer to each."));
    all.push_back(
        integer(name("--max-num-batched-tokens", "max_num_batched_tokens"),
                at(&Config::engine, &E::max_num_batched_tokens), 1, 1 << 20,
                "Token budget of one step, decodes and chunks of prompts together. Smaller keeps running "
                "streams smooth while long prompts arrive; larger reads prompts faster."));
    const auto length = at(&Config::engine, &E::max_model_len);
    all.push_back(for_models(
        integer(name("--max-model-len", "max_model_len"), length, 0, 1U << 30,
                "Longest context served, prompt and generated tokens together. 0: the model's own. "
                "Of several models those with a shorter one keep it; NAME=N is for one of them.",
                "the model's own"),
        length, at(&Config::engine, &E::own_max_model_len)));
    const auto memory = at(&Config::engine, &E::kv_memory);
    all.push_back(for_models(
        size(name("--kv-memory", "kv_memory"), memory, 1U << 10, 0,
             "Memory of the KV cache. Several models share it so that each can hold the same number of "
             "tokens; one with NAME=SIZE of its own has that instead. Give either this or --kv-blocks.",
             "a quarter of available memory, at most what max-num-seqs x max-model-len needs"),
        memory, at(&Config::engine, &E::own_kv_memory)));
    all.push_back(
        integer(name("--kv-blocks", "kv_blocks"), at(&Config::engine, &E::kv_blocks), 0, INT32_MAX,
                "Size of the KV cache in blocks, for each model. Give either this or --kv-memory. 0: by "
                "--kv-memory.",
                "by --kv-memory"));
    all.push_back(
        size(name("--swap-space", "swap_space"), at(&Config::engine, &E::swap_space), 0, 0,
             "Host memory for KV blocks that the KV cache has no room for: of preempted sequences, and of "
             "prefixes that nobody uses now. They are copied back when that is quicker than computing them "
             "again. Several models share it. 0: none.",
             "no host memory"));
    all.push_back(
        text(name("--swap-path", "swap_path"), at(&Config::engine, &E::swap_path), "DIR",
             "Directory for a file of KV blocks, below --swap-space and slower. The file has no name "
             "there and is gone when the server ends.",
             "none"));
    all.push_back(size(name("--swap-disk-space", "swap_disk_space"), at(&Config::engine, &E::swap_disk_space),
                       0, 0,
                       "Size of that file at the most; it grows as it is needed. Several models share it."));
    all.push_back(integer(name("--block-size", "block_size"), at(&Config::engine, &E::block_size), 1, 256,
                          "Tokens in one KV block."));
    all.push_back(
        flag(name("--no-prefix-caching", "no_prefix_caching"), at(&Config::engine, &E::no_prefix_caching),
             "Share no KV between requests. Without it, those of one tenant that begin alike compute their "
             "beginning once (docs/prefix-caching.md)."));
    all.push_back(integer(name("--threads", "threads"), at(&Config::engine, &E::threads), 0, 1024,
                          "Compute threads. 0: one for each core that this process may use.",
                          "one for each core"));
    all.push_back(integer(name("--frontend-threads", "frontend_threads"),
                          at(&Config::engine, &E::frontend_threads), 1, 64,
                          "Threads that render chat templates and tokenize."));
    all.push_back(
        integer(name("--max-steps-in-flight", "max_steps_in_flight"),
                at(&Config::engine, &E::max_steps_in_flight), 1, 2,
                "Steps planned before their results are known. 2 plans one step ahead, so that the worker "
                "never waits for the scheduler."));
    Option fault{
        "--fault-injection",
        "engine",
        "fault_injection",
        ValueKind::text,
        "FAULT",
        {},
        "none",
        "Breaks something on purpose, to see it recover: worker:throw@step=K[,every=N][,model=NAME] makes "
        "the worker throw in step K, counted across its restarts, and in every N-th step after that; of "
        "several models only the one named, if one is.",
        {}};
    fault.set = [](Config& config, std::string_view given) -> Status {
        const auto value = parse_fault_injection(given);
        if (!value) return value.error();
        config.engine.fault_injection = *value;
        return {};
    };
    all.push_back(std::move(fault));
}

void add_policy_options(std::vector<Option>& all) {
    using P = PolicyConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "policy", key}; };
    all.push_back(text(name("--policy", "name"), at(&Config::policy, &P::name), "NAME|FILE.so",
                       "Who runs when: fcfs, sjf, priority, slo, fair, lpm, static (docs/policies.md), or a "
                       "plug-in by its path (./libmine.so)."));
    all.push_back(list(name("--policy-option", "options"), at(&Config::policy, &P::options), "KEY=VALUE",
                       "An option of the policy. May be given several times, or with commas.",
                       "the policy's own"));
    all.push_back(
        flag(name("--isolate-policy", "isolate"), at(&Config::policy, &P::isolate),
             "Run the policy in a process of its own: it may crash or never return. Costs some tens "
             "of microseconds a step."));
    all.push_back(duration(name("--policy-budget", "budget"), at(&Config::policy, &P::budget_ms), 1,
                           "Time for a decision of a plug-in. When it takes longer, fcfs decides."));
    all.push_back(
        duration(name("--ttft-target", "ttft_target"), at(&Config::policy, &P::ttft_target_ms), 0,
                 "Time to the first token that requests without ttft_target_ms aim at, under a policy "
                 "that looks at it (slo). 0: no target."));
    all.push_back(
        duration(name("--tpot-target", "tpot_target"), at(&Config::policy, &P::tpot_target_ms), 0,
                 "Time between tokens after the first that requests without tpot_target_ms aim at. 0: "
                 "no target."));
}

void add_server_options(std::vector<Option>& all) {
    using S = ServerConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "server", key}; };
    all.push_back(text(name("--host", "host"), at(&Config::server, &S::host), "ADDRESS",
                       "Address to listen on. 0.0.0.0 is every network interface: set --api-key then."));
    all.push_back(integer(name("--port", "port"), at(&Config::server, &S::port), 0, 65535,
                          "Port to listen on. 0: any free one, which the log then names."));
    all.push_back(
        text(name("--uds", "uds"), at(&Config::server, &S::uds), "PATH",
             "Unix socket to listen on instead of --host and --port. A file that a dead server left "
             "there is replaced.",
             "none"));
    all.push_back(permissions(
        name("--uds-mode", "uds_mode"), at(&Config::server, &S::uds_mode),
        "Permissions of the Unix socket's file, in octal: who may write to it may use the server."));
    all.push_back(
        text(name("--record", "record"), at(&Config::server, &S::record), "FILE",
             "Record what the schedulers are told and decide, prompts' tokens included, for `troupe "
             "simulate --replay FILE` and `--trace FILE`. It never slows them down: a disk that is too "
             "slow ends the recording.",
             "none"));
    all.push_back(text(name("--ssl-certfile", "ssl_certfile"), at(&Config::server, &S::ssl_certfile), "PATH",
                       "Speak HTTPS (TLS 1.2 or 1.3) with this certificate in PEM form, its chain behind it. "
                       "SIGHUP reads it anew.",
                       "none: plain HTTP"));
    all.push_back(text(name("--ssl-keyfile", "ssl_keyfile"), at(&Config::server, &S::ssl_keyfile), "PATH",
                       "The certificate's private key in PEM form, without a passphrase.",
                       "the file of --ssl-certfile"));
    all.push_back(
        guard(name("--api-key", "api_key"), at(&Config::server, &S::api_key), "KEY",
              "Clients must send it as 'Authorization: Bearer KEY'. Better given in the environment than as "
              "a flag, which other users of the machine can read.",
              "none: no authentication"));
    all.push_back(
        guard(name("--api-key-file", "api_key_file"), at(&Config::server, &S::api_key_file), "PATH",
              "More keys: one on a line, with its name and limits behind it (docs/operations.md). SIGHUP "
              "reads it anew.",
              "none"));
    all.push_back(text(name("--admin-api-key", "admin_api_key"), at(&Config::server, &S::admin_api_key),
                       "KEY", "The key for /admin/, where without one there is nothing.", "none"));
    all.push_back(origins(
        name("--cors-origin", "cors_origin"), at(&Config::server, &S::cors_origins),
        "Web pages that may use the server from a browser, such as https://example.org; * is all. "
        "May be given several times, or with commas. WebSockets and POSTs of other pages are refused then.",
        "none: only pages of the server's own place"));
    all.push_back(
        integer(name("--max-waiting", "max_waiting"), at(&Config::server, &S::max_waiting), 1, 1 << 20,
                "Requests that may wait for their turn; more are refused with 429 and Retry-After."));
    all.push_back(integer(name("--max-connections", "max_connections"),
                          at(&Config::server, &S::max_connections), 1, 1 << 20,
                          "Open connections; more are refused with 503."));
    all.push_back(
        integer(name("--max-connections-per-address", "max_connections_per_address"),
                at(&Config::server, &S::max_connections_per_address), 0, 1 << 20,
                "Open connections of one client address (of one /64 network with IPv6); more are refused "
                "with 503. 0: any number. Behind a proxy all clients have one address.",
                "any number"));
    all.push_back(size(name("--max-header-size", "max_header_size"),
                       at(&Config::server, &S::max_header_bytes), 1U << 10, 1U << 20,
                       "Largest request header; larger ones are refused with 431."));
    all.push_back(size(name("--max-body-size", "max_body_size"), at(&Config::server, &S::max_body_bytes),
                       1U << 10, 1U << 30, "Largest request body; larger ones are refused with 413."));
    all.push_back(size(name("--max-body-memory", "max_body_memory"), at(&Config::server, &S::max_body_memory),
                       1U << 10, std::uint64_t{1} << 40,
                       "What request bodies of more than 64 KiB that are arriving, and prompts that wait to "
                       "be tokenized, may hold "
                       "together; more are refused with 503. Reading a body takes up to 20 times its size "
                       "besides, for a moment, on each of --io-threads (docs/reliability.md)."));
    all.push_back(size(name("--max-tokenize-size", "max_tokenize_size"),
                       at(&Config::server, &S::max_tokenize_bytes), 1U << 10, 1U << 30,
                       "Longest text of /tokenize, and four times the most ids of /detokenize; longer ones "
                       "are refused with 413."));
    all.push_back(
        integer(name("--max-tokenize-waiting", "max_tokenize_waiting"),
                at(&Config::server, &S::max_tokenize_waiting), 1, 1 << 20,
                "Calls of /tokenize and /detokenize that may wait, for each model, and as many with "
                "texts of more than 16 KiB; more are refused "
                "with 429 and Retry-After."));
    all.push_back(duration(name("--read-timeout", "read_timeout"), at(&Config::server, &S::read_timeout_ms),
                           10, "Time for a TLS handshake, and for a request's header and body, to arrive."));
    all.push_back(duration(name("--write-timeout", "write_timeout"),
                           at(&Config::server, &S::write_timeout_ms), 10,
                           "A client that takes nothing of its answer for that long is given up."));
    all.push_back(duration(name("--idle-timeout", "idle_timeout"), at(&Config::server, &S::idle_timeout_ms),
                           10, "A connection without a request is closed after that time."));
    all.push_back(duration(name("--keepalive-interval", "keepalive_interval"),
                           at(&Config::server, &S::keepalive_ms), 10,
                           "A silent stream gets a comment line that often, so that proxies keep it open."));
    all.push_back(duration(name("--resume-grace", "resume_grace"), at(&Config::server, &S::resume_grace_ms),
                           0, "A stored response runs on that long without a reader, then it is cancelled."));
    all.push_back(duration(name("--retention", "retention"), at(&Config::server, &S::retention_ms), 0,
                           "A finished stored response can be read and continued that long."));
    all.push_back(integer(name("--max-retained", "max_retained"), at(&Config::server, &S::max_retained), 1,
                          1 << 20, "Stored responses kept at the most; the oldest finished ones go first."));
    all.push_back(size(name("--max-retained-memory", "max_retained_memory"),
                       at(&Config::server, &S::max_retained_bytes), 1U << 20, std::uint64_t{1} << 40,
                       "Memory of stored responses that have finished; the oldest go first."));
    all.push_back(duration(name("--drain-timeout", "drain_timeout"),
                           at(&Config::server, &S::drain_timeout_ms), 0,
                           "After SIGTERM running requests get that long to finish."));
    all.push_back(integer(name("--io-threads", "io_threads"), at(&Config::server, &S::io_threads), 1, 64,
                          "Threads that serve sockets."));
}

void add_supervision_options(std::vector<Option>& all) {
    using S = SupervisionConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "supervision", key}; };
    all.push_back(integer(name("--restart-budget", "restart_budget"),
                          at(&Config::supervision, &S::restart_budget), 0, 1 << 20,
                          "A worker that fails is restarted that often within --restart-window. What it dies "
                          "of in a request's step counts when that request has gone on after it."));
    all.push_back(duration(name("--restart-window", "restart_window"),
                           at(&Config::supervision, &S::restart_window_ms), 1,
                           "The time that --restart-budget is for."));
    all.push_back(duration(name("--restart-backoff", "restart_backoff"),
                           at(&Config::supervision, &S::restart_backoff_ms), 1,
                           "Wait before the first restart; it doubles with each one that follows."));
    all.push_back(duration(name("--restart-backoff-max", "restart_backoff_max"),
                           at(&Config::supervision, &S::restart_backoff_max_ms), 1,
                           "Longest wait before a restart."));
}

void add_log_options(std::vector<Option>& all) {
    using L = LogConfig;
    const auto name = [](const char* flag, const char* key) { return Name{flag, "log", key}; };
    all.push_back(choice(name("--log-level", "level"), at(&Config::log, &L::level),
                         {{"trace", "trace"},
                          {"debug", "debug"},
                          {"info", "info"},
                          {"warn", "warn"},
                          {"error", "error"},
                          {"off", "off"}},
                         "How much is logged. info has one line for each request."));
    all.push_back(choice(name("--log-format", "format"), at(&Config::log, &L::json),
                         {{"text", false}, {"json", true}},
                         "Lines for people, or one JSON object a line for machines."));
    all.push_back(
        text(name("--access-log", "access_log"), at(&Config::log, &L::access_log), "PATH|-|off",
             "Where the line of each request goes: into a file, which SIGHUP opens anew, with the rest of "
             "the log (-), or nowhere."));
}

}  // namespace

std::string Option::environment_variable() const {
    std::string name = "TROUPE_";
    for (const char c : std::string_view(flag).substr(2)) {
        name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return name;
}

const std::vector<Option>& options() {
    static const std::vector<Option> table = [] {
        std::vector<Option> all;
        add_model_options(all);
        add_engine_options(all);
        add_policy_options(all);
        add_server_options(all);
        add_supervision_options(all);
        add_log_options(all);
        return all;
    }();
    return table;
}

const std::vector<Section>& sections() {
    static const std::vector<Section> list{{"model", "Model"},
                                           {"engine", "Engine: batching, KV cache, threads"},
                                           {"policy", "Scheduling policy"},
                                           {"server", "Server: address and limits"},
                                           {"supervision", "Supervision: restarts of workers"},
                                           {"log", "Log"}};
    return list;
}

}  // namespace troupe
