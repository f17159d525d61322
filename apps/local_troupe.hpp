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

// For `give_up`, in commands that have nothing to save: says why and ends the process.
void exit_on_give_up(const std::string& why);

// Blocks until a worker is ready; whether one ever will be is told through `give_up`.
void wait_until_ready(const ClientPort& port);

}  // namespace troupe
