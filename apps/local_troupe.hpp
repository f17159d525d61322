// The whole troupe inside this process, for the commands that generate: serve, generate and chat.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "actors/troupe_system.hpp"
#include "apps/kv_size.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct LocalTroupe {
    std::unique_ptr<TroupeSystem> system;
    KvSize kv;
    std::string served_name;
    std::uint32_t max_model_len = 0;
    unsigned threads = 0;
};

// Loads the model, sizes the KV pool and starts the actors. `give_up` is called from an actor's thread if
// workers fail too often.
Result<LocalTroupe> start_local_troupe(const Config& config, std::function<void(const std::string&)> give_up);

// "KV cache: 1024 blocks of 16 tokens, 96 MiB: 8.0 sequences of 2048 tokens at the same time"
std::string describe_kv(const LocalTroupe& troupe, std::uint32_t block_size);

// Until a worker is ready; false if that took longer than `patience` or workers failed.
bool wait_until_ready(const ClientPort& port, std::chrono::milliseconds patience);

}  // namespace troupe
