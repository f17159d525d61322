// The whole troupe inside this process, for the commands that generate: serve, generate and chat.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/troupe_system.hpp"
#include "apps/kv_size.hpp"
#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

struct LocalModel {
    std::string name;                  // as it is served
    std::vector<std::string> aliases;  // further names
    KvSize kv;
    std::uint32_t max_model_len = 0;
    bool has_template = false;  // for conversations
    std::uint32_t vocab_size = 0;
};

struct LocalTroupe {
    std::unique_ptr<TroupeSystem> system;
    std::vector<LocalModel> models;  // at least one
};

// Loads the models, sizes the KV pools and starts the actors. `give_up` is called from an actor's thread if
// no model has a worker any more.
Result<LocalTroupe> start_local_troupe(const Config& config, std::function<void(const std::string&)> give_up);

// "model a: KV cache of 1024 blocks of 16 tokens, 96 MiB: 8.0 sequences of 2048 tokens at the same time"
std::string describe_kv(const LocalModel& model, std::uint32_t block_size);

// For `give_up`, in commands that have nothing to save: says why and ends the process.
void exit_on_give_up(const std::string& why);

// Blocks until a worker is ready; whether one ever will be is told through `give_up`.
void wait_until_ready(const ClientPort& port);

}  // namespace troupe
