// The whole configuration, one options struct per room. Filled once by conf/schema (flags, environment, TOML
// file), validated, then frozen: nothing else reads the environment.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

enum class ComputeType : std::uint8_t { automatic, f32 };  // f32: exact reference mode
enum class KvDType : std::uint8_t { automatic, f16, bf16, f32, int8 };
enum class QuantizeType : std::uint8_t { none, q8_0, q4_0, q4_1, q4_k };

// A model to serve, as --model names it.
struct ModelSource {
    std::string name;    // as clients ask for it; empty: the file's or directory's own
    std::string source;  // a GGUF file, a Hugging Face directory, or ORG/NAME[:FILE] on the hub
    bool operator==(const ModelSource&) const = default;
};

// Another name for a model, as --served-model-name gives it.
struct ServedName {
    std::string model = {};  // its NAME of --model; empty: there is only one
    std::string name;
    bool operator==(const ServedName&) const = default;
};

struct ModelConfig {
    std::vector<ModelSource> models;       // several only if each has a name; none: the default model
    std::vector<ServedName> served_names;  // all differ, and from those of the models
    ComputeType compute = ComputeType::automatic;
    KvDType kv_dtype = KvDType::automatic;       // f16, or with ComputeType::f32 that
    QuantizeType quantize = QuantizeType::none;  // what weights in floats become when they are loaded
    bool split_reasoning = true;  // false (--reasoning-parser none): <think>...</think> stays in the content
    bool generation_config = true;  // false (--generation-config none): ignore the model's sampling defaults
};

// "worker:throw@step=K[,every=N]": the worker throws in step K of its replica, counted across restarts, and
// in every N-th step after that. With ",model=NAME" only the worker of that model.
struct FaultInjection {
    StepId step = 0;         // 0: never
    StepId every = 0;        // 0: only once
    std::string model = {};  // as it is served; empty: any

    bool due(StepId now) const {
        return step != 0 && (now == step || (every != 0 && now > step && (now - step) % every == 0));
    }
    bool operator==(const FaultInjection&) const = default;
};

struct EngineConfig {
    std::uint32_t max_num_seqs = 64;
    std::uint32_t max_num_batched_tokens = 512;
    std::uint32_t max_model_len = 0;  // 0: the model's own
    std::uint32_t block_size = 16;    // tokens per KV block
    std::uint64_t kv_blocks = 0;      // of each model; 0: from kv_memory
    std::uint64_t kv_memory =
        0;  // bytes, of all models; 0: a quarter of available memory, at most what can be used
    // What single models, by their names, have instead.
    std::map<std::string, std::uint64_t> own_kv_memory;
    std::map<std::string, std::uint32_t> own_max_model_len;
    std::uint64_t swap_space = 0;                // bytes of host memory below the KV cache, of all models
    std::uint64_t swap_disk_space = 4ULL << 30;  // bytes of files in swap_path, of all models
    std::string swap_path;                       // directory; empty: no swapping to disk
    bool no_prefix_caching = false;
    std::uint32_t max_steps_in_flight = 2;
    std::uint32_t threads = 0;  // compute threads; 0: all cores that this process may use
    std::uint32_t frontend_threads = 1;
    FaultInjection fault_injection;
};

struct PolicyConfig {
    std::string name = "fcfs";         // built-in, or the path of a plug-in
    std::vector<std::string> options;  // "key=value"
    std::uint32_t budget_ms = 20;      // for a decision of a plug-in
    bool isolate = false;              // in a process of its own
    std::uint32_t ttft_target_ms = 0;  // of requests that name none; 0: no target
    std::uint32_t tpot_target_ms = 0;
};

struct ServerConfig {
    std::string host = "127.0.0.1";
    std::uint16_t port = 8000;
    std::string uds;                // path of a Unix socket to listen on instead
    std::uint32_t uds_mode = 0660;  // its permissions
    std::string ssl_certfile;       // empty: plain HTTP
    std::string ssl_keyfile;        // empty: the key is in ssl_certfile
    std::string api_key;            // these three empty: no authentication
    std::string api_key_file;       // a key on a line, with its name and limits
    std::string admin_api_key;
    std::string record;                     // a file for the schedulers' events; empty: none
    std::vector<std::string> cors_origins;  // pages that may use the server; "*": all
    std::uint32_t max_waiting = 1024;       // admitted requests that have not begun to run
    std::uint32_t max_connections = 16384;
    std::uint32_t max_connections_per_address = 0;  // 0: as many as there are
    std::uint32_t max_header_bytes = 16U << 10;
    std::uint32_t max_body_bytes = 8U << 20;
    std::uint64_t max_body_memory = 512U << 20;     // of all bodies that are arriving
    std::uint32_t max_tokenize_bytes = 1U << 20;    // of a text for /tokenize; 4 for each id of /detokenize
    std::uint32_t max_tokenize_waiting = 64;        // of these, for each model
    std::uint32_t read_timeout_ms = 30000;          // for a request's header and body to arrive
    std::uint32_t write_timeout_ms = 60000;         // for a client to take some of its answer
    std::uint32_t idle_timeout_ms = 120000;         // a keep-alive connection without a request
    std::uint32_t keepalive_ms = 15000;             // SSE comments on a silent stream
    std::uint32_t resume_grace_ms = 30000;          // a stored response without a reader runs on that long
    std::uint32_t retention_ms = 600000;            // a finished stored response can be read that long
    std::uint32_t max_retained = 4096;              // stored responses; the oldest finished go first
    std::uint64_t max_retained_bytes = 256U << 20;  // what they may hold together
    std::uint32_t drain_timeout_ms = 60000;         // SIGTERM: running requests get that long
    std::uint32_t io_threads = 1;
};

struct SupervisionConfig {
    std::uint32_t restart_budget = 10;        // worker restarts ...
    std::uint32_t restart_window_ms = 60000;  // ... within this time, then the server gives up
    std::uint32_t restart_backoff_ms = 100;   // first wait; doubles
    std::uint32_t restart_backoff_max_ms = 5000;
};

struct LogConfig {
    std::string level = "info";
    bool json = false;
    std::string access_log = "-";  // a file's path; "-": with the rest of the log, "off": nowhere
};

// Where models come from, as the variables of Hugging Face's own programs say: HF_ENDPOINT, HF_TOKEN,
// HF_HUB_OFFLINE, HF_HUB_CACHE, HF_HOME. They have no flags.
struct HubConfig {
    std::string endpoint = "https://huggingface.co";
    std::string token;          // empty: public models only
    bool offline = false;       // only what the cache holds
    std::string cache;          // folder of models--ORG--NAME folders; shared with Hugging Face's programs
    std::string default_model;  // file of the model that is served without --model
};

struct Config {
    ModelConfig model;
    HubConfig hub;
    EngineConfig engine;
    PolicyConfig policy;
    ServerConfig server;
    SupervisionConfig supervision;
    LogConfig log;
};

}  // namespace troupe
