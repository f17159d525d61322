#include "conf/load.hpp"

#include <toml++/toml.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <sstream>
#include <vector>

#include "conf/schema.hpp"

namespace troupe {
namespace {

struct Setting {
    const Option* option;
    std::string text;
    std::string origin;  // "--max-num-seqs", "TROUPE_MAX_NUM_SEQS", "troupe.toml:12: engine.max_num_seqs"
};
// What one source says. Sources are applied in order of precedence, the weakest first.
using Layer = std::vector<Setting>;

Error at(const std::string& origin, const std::string& complaint, const std::string& param = {}) {
    return invalid_argument(origin + ": " + complaint, param);
}

std::string origin_of(const std::string& file, const toml::source_region& source, const std::string& what) {
    return file + ":" + std::to_string(source.begin.line) + ": " + what;
}

// The text that the option's parser reads, or the kind of value that belongs there.
Result<std::string> text_of(const toml::node& node, ValueKind kind) {
    if (const auto* integer = node.as_integer(); integer && kind != ValueKind::text) {
        return std::to_string(integer->get());
    }
    if (const auto* real = node.as_floating_point(); real && kind == ValueKind::duration) {
        std::ostringstream text;
        text << real->get();
        return text.str();
    }
    if (const auto* boolean = node.as_boolean(); boolean && kind == ValueKind::flag)
        return std::string(boolean->get() ? "true" : "false");
    if (const auto* string = node.as_string();
        string && kind != ValueKind::integer && kind != ValueKind::flag)
        return string->get();
    switch (kind) {
        case ValueKind::integer:
            return invalid_argument("must be a whole number, without quotes");
        case ValueKind::size:
            return invalid_argument("must be a number of bytes or a string such as \"512MiB\"");
        case ValueKind::duration:
            return invalid_argument("must be a number of seconds or a string such as \"30s\"");
        case ValueKind::flag:
            return invalid_argument("must be true or false, without quotes");
        case ValueKind::text:
            break;
    }
    return invalid_argument("must be a string in quotes");
}

// An array of strings, one a line.
Result<std::string> lines_of(const toml::array& array) {
    std::string lines;
    for (const toml::node& node : array) {
        const auto one = text_of(node, ValueKind::text);
        if (!one) return invalid_argument("must be a string, or an array of strings");
        lines += (lines.empty() ? "" : "\n") + *one;
    }
    return lines;
}

const Option* find_option(std::string_view section, std::string_view key) {
    for (const Option& option : options()) {
        if (option.section == section && option.key == key) return &option;
    }
    return nullptr;
}

std::string known_keys(std::string_view section) {
    std::string list;
    for (const Option& option : options()) {
        if (option.section == section) list += (list.empty() ? "" : ", ") + option.key;
    }
    return list;
}

std::string known_sections() {
    std::string list;
    for (const Section& section : sections()) list += (list.empty() ? "[" : ", [") + section.name + "]";
    return list;
}

Status read_table(const std::string& file, const std::string& section, const toml::table& table,
                  Layer& layer) {
    for (const auto& [key, node] : table) {
        const std::string name = section + "." + std::string(key.str());
        const std::string origin = origin_of(file, key.source(), name);
        const Option* option = find_option(section, key.str());
        if (option == nullptr) {
            return at(origin, "there is no such key; known in [" + section + "] are " + known_keys(section),
                      name);
        }
        const bool word = option->repeated && node.is_string();  // perhaps NAME=VALUE
        auto text = option->repeated && node.is_array()
                        ? lines_of(*node.as_array())
                        : text_of(node, word ? ValueKind::text : option->kind);
        if (!text) return at(origin, text.error().message, name);
        layer.push_back({option, *std::move(text), origin});
    }
    return {};
}

Result<Layer> read_file(const std::string& file) {
    if (std::filesystem::is_directory(file)) {  // would read as an empty file
        return invalid_argument(file + " is a directory; --config names a TOML file", "--config");
    }
    toml::table root;
    try {
        root = toml::parse_file(file);
    } catch (const toml::parse_error& error) {
        const auto line = error.source().begin.line;
        return invalid_argument(
            file + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + std::string(error.description()),
            "--config");
    }
    Layer layer;
    for (const auto& [key, node] : root) {
        const std::string section(key.str());
        const bool known = std::any_of(sections().begin(), sections().end(),
                                       [&](const Section& one) { return one.name == section; });
        const toml::table* table = node.as_table();
        if (!known || table == nullptr) {
            const std::string complaint =
                known ? "must be a table, written [" + section + "]"
                      : "there is no such key here; the tables are " + known_sections();
            return at(origin_of(file, key.source(), section), complaint, section);
        }
        if (const Status status = read_table(file, section, *table, layer); !status) return status.error();
    }
    return layer;
}

Layer read_environment(const std::function<const char*(const char*)>& environment) {
    Layer layer;
    for (const Option& option : options()) {
        const std::string variable = option.environment_variable();
        const char* value = environment(variable.c_str());
        // Empty means unset: that is how people switch a variable off. Not what guards the server: set()
        // refuses that.
        if (value != nullptr && (*value != '\0' || option.guards))
            layer.push_back({&option, value, variable});
    }
    return layer;
}

Layer read_flags(const std::map<std::string, std::string>& flags) {
    Layer layer;
    for (const Option& option : options()) {
        if (const auto found = flags.find(option.flag); found != flags.end()) {
            layer.push_back({&option, found->second, option.flag});
        }
    }
    return layer;
}

// The KV cache has one size. Within a source two are a contradiction; a stronger source replaces a weaker
// one's.
Status apply(const Layer& layer, Config& config) {
    const Setting* kv_size = nullptr;
    for (const Setting& setting : layer) {
        const bool sizes_kv = setting.option->flag == "--kv-blocks" || setting.option->flag == "--kv-memory";
        if (sizes_kv && kv_size != nullptr) {
            return at(setting.origin,
                      "cannot be given together with " + kv_size->origin + "; give one of them",
                      setting.option->flag);
        }
        if (sizes_kv) {
            kv_size = &setting;
            config.engine.kv_blocks = 0;
            config.engine.kv_memory = 0;
            config.engine.own_kv_memory.clear();
        }
        if (const Status status = setting.option->set(config, setting.text); !status) {
            return at(setting.origin, status.error().message, setting.option->flag);
        }
    }
    return {};
}

bool has_model(const Config& config, const std::string& name) {
    const auto& models = config.model.models;
    return std::any_of(models.begin(), models.end(), [&](const auto& model) { return model.name == name; });
}

// Every name is one model's: those of --model and those of --served-model-name, which replace the only one's.
Status check_served_names(const Config& config) {
    const std::string flag = "--served-model-name";
    std::set<std::string> taken;
    const auto& names = config.model.served_names;
    const bool replaced =
        std::any_of(names.begin(), names.end(), [](const auto& s) { return s.model.empty(); });
    for (const ModelSource& model : config.model.models)
        if (!model.name.empty() && !replaced) taken.insert(model.name);
    for (const ServedName& served : names) {
        if (served.model.empty() && config.model.models.size() > 1) {
            return at(flag,
                      "of several models, say whose name '" + served.name + "' is: MODEL=" + served.name +
                          ", where --model has MODEL=PATH",
                      flag);
        }
        if (!served.model.empty() && !has_model(config, served.model)) {
            return at(flag,
                      "'" + served.model + "=" + served.name + "' names no model: there is no --model " +
                          served.model + "=PATH",
                      flag);
        }
        if (!taken.insert(served.name).second)
            return at(flag, "the name '" + served.name + "' is given twice; each is one model's", flag);
    }
    return {};
}

// NAME=VALUE of --kv-memory and --max-model-len.
template <class Value>
Status check_own(const Config& config, const std::string& flag, const std::map<std::string, Value>& own) {
    for (const auto& [name, value] : own) {
        if (has_model(config, name)) continue;
        return at(flag, "'" + name + "=' names no model: there is no --model " + name + "=PATH", flag);
    }
    return {};
}

// What no single option can know.
Status check_together(const Config& config) {
    if (config.supervision.restart_backoff_ms > config.supervision.restart_backoff_max_ms) {
        return at("--restart-backoff",
                  "is longer than --restart-backoff-max; make it shorter, or raise the other",
                  "--restart-backoff");
    }
    if (Status names = check_served_names(config); !names) return names;
    const EngineConfig& engine = config.engine;
    if (Status own = check_own(config, "--max-model-len", engine.own_max_model_len); !own) return own;
    if (Status own = check_own(config, "--kv-memory", engine.own_kv_memory); !own) return own;
    if (config.server.host.empty()) {
        return at("--host", "must not be empty; 127.0.0.1 is this machine only, 0.0.0.0 every interface",
                  "--host");
    }
    if (config.server.ssl_certfile.empty() && !config.server.ssl_keyfile.empty()) {
        return at("--ssl-keyfile", "needs --ssl-certfile too", "--ssl-keyfile");
    }
    return {};
}

// What Hugging Face's programs and the desktop's conventions say about places.
HubConfig read_hub(const std::function<const char*(const char*)>& environment) {
    const auto value = [&](const char* name, const std::string& otherwise) {
        const char* given = environment(name);
        return given != nullptr && *given != '\0' ? std::string(given) : otherwise;
    };
    HubConfig hub;
    const std::string home = value("HOME", "."), cache = value("XDG_CACHE_HOME", home + "/.cache");
    hub.endpoint = value("HF_ENDPOINT", hub.endpoint);
    while (hub.endpoint.ends_with('/')) hub.endpoint.pop_back();
    hub.token = value("HF_TOKEN", "");
    hub.cache = value("HF_HUB_CACHE", value("HF_HOME", cache + "/huggingface") + "/hub");
    hub.default_model = cache + "/troupe/models/SmolLM2-135M-Instruct.Q4_1.gguf";
    std::string offline = value("HF_HUB_OFFLINE", "0");
    std::transform(offline.begin(), offline.end(), offline.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    hub.offline = offline == "1" || offline == "ON" || offline == "YES" || offline == "TRUE";
    return hub;
}

}  // namespace

Result<Config> load_config(const ConfigSources& sources) {
    std::string file = sources.config_file;
    if (const char* named = sources.environment("TROUPE_CONFIG"); file.empty() && named != nullptr)
        file = named;
    std::vector<Layer> layers;
    if (!file.empty()) {
        auto layer = read_file(file);
        if (!layer) return layer.error();
        layers.push_back(*std::move(layer));
    }
    layers.push_back(read_environment(sources.environment));
    layers.push_back(read_flags(sources.flags));

    Config config;
    config.hub = read_hub(sources.environment);
    for (const Layer& layer : layers) {
        if (const Status status = apply(layer, config); !status) return status.error();
    }
    if (const Status status = check_together(config); !status) return status.error();
    return config;
}

}  // namespace troupe
