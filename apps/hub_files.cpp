#include "apps/hub_files.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

namespace troupe {
namespace {

constexpr std::size_t longest_name = 96, longest_path = 1024, most_files = 100000;

bool is_name(std::string_view text) {
    if (text.empty() || text.size() > longest_name || text.front() == '.' || text.front() == '-')
        return false;
    if (text.find("--") != std::string_view::npos || text.find("..") != std::string_view::npos) return false;
    return std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return c < 128 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
    });
}

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

std::string names_of(const std::vector<const HubFile*>& files) {
    std::string names;
    for (const HubFile* file : files) names += (names.empty() ? "" : ", ") + file->path;
    return names.empty() ? "none" : names;
}

// GGUF files that hold a model: not what belongs to images, nor a part of a file that was split.
std::vector<const HubFile*> gguf_files(const std::vector<HubFile>& files) {
    std::vector<const HubFile*> found;
    for (const HubFile& file : files) {
        const std::string name = lower(file.path);
        const bool is_part = name.find("-of-0") != std::string::npos;
        if (name.ends_with(".gguf") && name.find("mmproj") == std::string::npos && !is_part)
            found.push_back(&file);
    }
    return found;
}

Result<std::vector<HubFile>> one_gguf(const std::vector<const HubFile*>& ggufs, const HubName& name) {
    const auto named = [&](std::string_view part) {
        std::vector<const HubFile*> found;
        for (const HubFile* file : ggufs) {
            if (lower(file->path).find(lower(part)) != std::string::npos) found.push_back(file);
        }
        return found;
    };
    if (!name.file.empty()) {
        for (const HubFile* file : ggufs) {
            if (file->path == name.file) return std::vector{*file};
        }
        const auto found = named(name.file);
        if (found.size() == 1) return std::vector{*found.front()};
        const std::string complaint = found.empty() ? " has no GGUF file " : " has several GGUF files for ";
        return not_found("--model: " + name.repository + complaint + "'" + name.file +
                             "'; there are: " + names_of(found.empty() ? ggufs : found),
                         "--model");
    }
    if (ggufs.size() == 1) return std::vector{*ggufs.front()};
    // Close to the original and quick on CPUs first.
    for (const char* wanted : {"q8_0", "q4_k_m", "q4_0", "q4_1", "bf16", "f16", "f32"}) {
        if (const auto found = named(wanted); found.size() == 1) return std::vector{*found.front()};
    }
    return not_found("--model: " + name.repository + " has several GGUF files; name one as " +
                         name.repository + ":FILE. There are: " + names_of(ggufs),
                     "--model");
}

}  // namespace

std::string HubName::folder() const {
    const std::size_t slash = repository.find('/');
    return "models--" + repository.substr(0, slash) + "--" + repository.substr(slash + 1);
}

std::optional<HubName> parse_hub_name(std::string_view text) {
    const std::size_t slash = text.find('/'), colon = text.find(':');
    if (slash == std::string_view::npos || (colon != std::string_view::npos && colon < slash))
        return std::nullopt;
    const std::string_view repository = text.substr(0, colon);
    if (!is_name(repository.substr(0, slash)) || !is_name(repository.substr(slash + 1))) return std::nullopt;
    HubName name{std::string(repository), {}};
    if (colon != std::string_view::npos) {
        name.file = text.substr(colon + 1);
        if (!is_safe_path(name.file)) return std::nullopt;
    }
    return name;
}

bool is_safe_path(std::string_view path) {
    if (path.empty() || path.size() > longest_path) return false;
    for (std::string_view rest = path;;) {
        const std::size_t slash = rest.find('/');
        const std::string_view part = rest.substr(0, slash);
        if (part.empty() || part == "." || part == "..") return false;
        for (const unsigned char c : part) {
            if (c < 32 || c == 127 || c == '\\') return false;
        }
        if (slash == std::string_view::npos) return true;
        rest.remove_prefix(slash + 1);
    }
}

bool is_hash(std::string_view text) {
    return (text.size() == 40 || text.size() == 64) && std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

Result<HubListing> parse_hub_listing(const std::string& json) {
    const auto malformed = [](const std::string& what) {
        return internal_error("the hub's answer is not understood: " + what);
    };
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto error = parser.parse(json).get(root)) return malformed(simdjson::error_message(error));
    HubListing listing;
    std::string_view commit;
    if (root["sha"].get(commit) != simdjson::SUCCESS || commit.size() != 40 || !is_hash(commit))
        return malformed("'sha' is not a commit");
    listing.commit = commit;
    simdjson::dom::array siblings;
    if (root["siblings"].get(siblings) != simdjson::SUCCESS) return malformed("'siblings' is no list");
    for (const simdjson::dom::element entry : siblings) {
        std::string_view path, hash;
        if (entry["rfilename"].get(path) != simdjson::SUCCESS) return malformed("a file has no name");
        if (!is_safe_path(path))
            return malformed("the name of a file leads out of its folder, or is no name");
        HubFile file{std::string(path), 0, {}};
        if (std::uint64_t size = 0; entry["size"].get(size) == simdjson::SUCCESS) file.size = size;
        if (entry["lfs"]["sha256"].get(hash) == simdjson::SUCCESS ||
            entry["lfs"]["oid"].get(hash) == simdjson::SUCCESS ||
            entry["blobId"].get(hash) == simdjson::SUCCESS) {
            if (is_hash(hash)) file.hash = hash;
        }
        listing.files.push_back(std::move(file));
        if (listing.files.size() > most_files) return malformed("too many files");
    }
    return listing;
}

Result<std::vector<HubFile>> choose_hub_files(const std::vector<HubFile>& files, const HubName& name) {
    const auto ggufs = gguf_files(files);
    if (!name.file.empty()) return one_gguf(ggufs, name);
    constexpr std::array<std::string_view, 7> small{
        "config.json",           "generation_config.json",  "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja",
        "chat_template.json"};
    std::vector<HubFile> chosen;
    bool has_weights = false, has_config = false;
    for (const HubFile& file : files) {
        // model.safetensors, or model-00001-of-00002.safetensors and its index: not copies under other names.
        const bool weights =
            file.path.starts_with("model") && file.path.find('/') == std::string::npos &&
            (file.path.ends_with(".safetensors") || file.path == "model.safetensors.index.json");
        if (!weights && std::find(small.begin(), small.end(), file.path) == small.end()) continue;
        has_weights |= weights;
        has_config |= file.path == "config.json";
        chosen.push_back(file);
    }
    if (has_weights && has_config) return chosen;
    if (!ggufs.empty()) return one_gguf(ggufs, name);
    return not_found(
        "--model: " + name.repository + " has neither config.json with model.safetensors nor a GGUF file",
        "--model");
}

std::vector<std::string> shards_of_index(const std::string& json) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    simdjson::dom::object map;
    if (parser.parse(json).get(root) != simdjson::SUCCESS || root["weight_map"].get(map) != simdjson::SUCCESS)
        return {};
    std::set<std::string> shards;
    for (const auto& [tensor, value] : map) {
        std::string_view shard;
        if (value.get(shard) == simdjson::SUCCESS) shards.emplace(shard);
    }
    return {shards.begin(), shards.end()};
}

}  // namespace troupe
