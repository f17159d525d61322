#include "apps/local_troupe.hpp"

#include <algorithm>
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

namespace {

// The first is the one that answers carry.
std::vector<std::string> served_names(const Config& config, const ModelSource& source,
                                      const ReadyModel& ready) {
    std::vector<std::string> names;
    for (const ServedName& served : config.model.served_names)
        if (served.model.empty()) names.push_back(served.name);
    if (names.empty()) names.push_back(source.name.empty() ? ready.name : source.name);
    for (const ServedName& served : config.model.served_names)
        if (!served.model.empty() && served.model == source.name) names.push_back(served.name);
    return names;
}

// 0 if it has none.
template <class Value>
Value own_value(const std::map<std::string, Value>& own, const std::string& model) {
    const auto found = own.find(model);
    return found == own.end() ? 0 : found->second;
}

std::uint32_t max_model_len(const Config& config, const ModelSource& source, const LoadedModel& loaded) {
    const std::uint32_t most = loaded.spec.max_position, wanted = config.engine.max_model_len;
    if (const std::uint32_t own = own_value(config.engine.own_max_model_len, source.name); own != 0)
        return own;
    if (wanted == 0) return most;
    return config.model.models.size() > 1 ? std::min(wanted, most) : wanted;
}

Result<ReadyModel> set_up_text_model(const Config& config, const ModelSource& source, ComputePool& pool) {
    auto ready = set_up_model(config, source, pool);
    if (ready && ready->loaded->tokenizer == nullptr) {
        return invalid_argument(
            "--model: " + ready->path + " has no tokenizer.json, so it cannot read or write text", "--model");
    }
    return ready;
}

}  // namespace

Result<LocalTroupe> start_local_troupe(const Config& config,
                                       std::function<void(const std::string&)> give_up) {
    std::vector<ModelSource> sources = config.model.models;
    if (sources.empty()) sources.emplace_back();  // the default model
    const std::string& faulty = config.engine.fault_injection.model;
    const bool known =
        std::any_of(sources.begin(), sources.end(), [&](const auto& one) { return one.name == faulty; });
    if (!faulty.empty() && !known) {
        return invalid_argument("--fault-injection: there is no --model " + faulty + "=MODEL",
                                "--fault-injection");
    }
    const auto pool = std::make_shared<ComputePool>(config.engine.threads);
    LocalTroupe troupe;
    std::vector<ReadyModel> ready;
    std::vector<KvNeed> needs;
    for (const ModelSource& source : sources) {
        auto model = set_up_text_model(config, source, *pool);
        if (!model) return model.error();
        const std::uint32_t length = max_model_len(config, source, *model->loaded);
        needs.push_back(
            {cpu_bytes_per_block(model->cpu->spec(), model->cpu->kv_type(), config.engine.block_size), length,
             own_value(config.engine.own_kv_memory, source.name)});
        auto names = served_names(config, source, *model);
        const std::string name = names.front();
        names.erase(names.begin());
        troupe.models.push_back({name,
                                 std::move(names),
                                 {},
                                 length,
                                 model->loaded->chat_template.has_value(),
                                 model->loaded->spec.vocab_size});
        ready.push_back(*std::move(model));
    }
    const auto sizes = choose_kv_sizes(config.engine, needs, available_memory());
    if (!sizes) return sizes.error();
    const auto swap = choose_swap(config.engine, needs, *sizes, available_memory());
    if (!swap) return swap.error();
    TroupeOptions options;
    options.config = config;
    options.give_up = std::move(give_up);
    for (std::size_t i = 0; i < ready.size(); ++i) {
        LocalModel& model = troupe.models[i];
        model.kv = (*sizes)[i];
        const std::uint32_t blocks = model.kv.num_blocks;
        SwapOptions below = *swap;
        below.page_bytes = needs[i].bytes_per_block;
        options.models.push_back(
            {model.name, model.aliases, ready[i].path, ready[i].loaded,
             make_cpu_backend_factory(ready[i].cpu, pool, blocks, config.engine.block_size), blocks,
             model.max_model_len, below});
    }
    auto system = TroupeSystem::start(std::move(options));
    if (!system) return system.error();
    troupe.system = *std::move(system);
    return troupe;
}

std::string describe_kv(const LocalModel& model, std::uint32_t block_size) {
    std::array<char, 160> text{};
    std::snprintf(text.data(), text.size(),
                  "KV cache of %u blocks of %u tokens, %s: %.1f sequences of %u tokens at the same time",
                  model.kv.num_blocks, block_size, format_size(model.kv.bytes).c_str(), model.kv.concurrency,
                  model.max_model_len);
    return "model " + model.name + ": " + text.data();
}

void exit_on_give_up(const std::string& why) { std::_Exit(report(internal_error("giving up: " + why))); }

void wait_until_ready(const ClientPort& port) {
    while (port.state() != ServerState::ready) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

}  // namespace troupe
