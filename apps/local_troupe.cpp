#include "apps/local_troupe.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "apps/console.hpp"
#include "apps/memory.hpp"
#include "apps/model_setup.hpp"
#include "conf/values.hpp"
#include "cpu/backend.hpp"

namespace troupe {

Result<LocalTroupe> start_local_troupe(const Config& config,
                                       std::function<void(const std::string&)> give_up) {
    auto model = set_up_model(config);
    if (!model) return model.error();
    if (model->loaded->tokenizer == nullptr) {
        return invalid_argument(
            "--model: " + model->path + " has no tokenizer.json, so it cannot read or write text", "--model");
    }
    LocalTroupe troupe;
    const std::uint32_t context = model->loaded->spec.max_position;
    troupe.max_model_len = config.engine.max_model_len == 0 ? context : config.engine.max_model_len;
    const std::size_t block_bytes =
        cpu_bytes_per_block(model->cpu->spec(), model->compute, config.engine.block_size);
    const auto kv = choose_kv_size(config.engine, block_bytes, troupe.max_model_len, available_memory());
    if (!kv) return kv.error();
    troupe.kv = *kv;
    troupe.served_name =
        config.model.served_model_name.empty() ? model->loaded->name : config.model.served_model_name;
    troupe.threads = model->pool->num_threads();

    TroupeOptions options;
    options.config = config;
    options.model = model->loaded;
    options.served_name = troupe.served_name;
    options.root = model->path;
    options.backend =
        make_cpu_backend_factory(model->cpu, model->pool, kv->num_blocks, config.engine.block_size);
    options.num_blocks = kv->num_blocks;
    options.give_up = std::move(give_up);
    auto system = TroupeSystem::start(std::move(options));
    if (!system) return system.error();
    troupe.system = *std::move(system);
    return troupe;
}

std::string describe_kv(const LocalTroupe& troupe, std::uint32_t block_size) {
    std::array<char, 160> text{};
    std::snprintf(text.data(), text.size(),
                  "KV cache: %u blocks of %u tokens, %s: %.1f sequences of %u tokens at the same time",
                  troupe.kv.num_blocks, block_size, format_size(troupe.kv.bytes).c_str(),
                  troupe.kv.concurrency, troupe.max_model_len);
    return text.data();
}

void exit_on_give_up(const std::string& why) { std::_Exit(report(internal_error("giving up: " + why))); }

void wait_until_ready(const ClientPort& port) {
    while (port.state() != ServerState::ready) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace troupe
