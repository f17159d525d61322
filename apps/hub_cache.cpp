#include "apps/hub_cache.hpp"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "apps/hub_download.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t most_listing_bytes = 32U << 20;

std::string first_line(const fs::path& path) {
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

// The files of a snapshot; links whose blob is gone do not count.
std::vector<HubFile> files_in(const fs::path& snapshot) {
    std::vector<HubFile> files;
    std::error_code error;
    for (fs::recursive_directory_iterator it(snapshot, error), end; !error && it != end;
         it.increment(error)) {
        std::error_code broken;
        if (fs::is_regular_file(it->path(), broken))
            files.push_back({it->path().lexically_relative(snapshot).generic_string(), 0, {}});
    }
    std::sort(files.begin(), files.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    return files;
}

// Whether every shard is there that the index names, which may be a program's unfinished download.
bool has_all_shards(const fs::path& snapshot, const std::vector<HubFile>& files) {
    std::ifstream index(snapshot / "model.safetensors.index.json");
    if (!index) return fs::exists(snapshot / "model.safetensors");
    std::stringstream text;
    text << index.rdbuf();
    const auto shards = shards_of_index(text.str());
    return !shards.empty() && std::all_of(shards.begin(), shards.end(), [&](const std::string& shard) {
        return std::any_of(files.begin(), files.end(),
                           [&](const HubFile& file) { return file.path == shard; });
    });
}

// What serves the chosen files: the GGUF file itself, or the directory.
std::string place_of(const fs::path& snapshot, const std::vector<HubFile>& chosen) {
    return chosen.size() == 1 ? (snapshot / chosen.front().path).string() : snapshot.string();
}

// The model in the cache, if all of it is there. Of an unnamed GGUF file nobody knows whether the hub has a
// better one: what is here was chosen once.
std::string cached(const fs::path& repository, const HubName& name) {
    const std::string commit = first_line(repository / "refs" / "main");
    if (!is_hash(commit)) return {};
    const fs::path snapshot = repository / "snapshots" / commit;
    const std::vector<HubFile> files = files_in(snapshot);
    const auto chosen = choose_hub_files(files, name);
    if (!chosen) return {};
    const bool is_directory = chosen->size() > 1;
    if (is_directory && (!fs::exists(snapshot / "tokenizer.json") || !has_all_shards(snapshot, files)))
        return {};
    return place_of(snapshot, *chosen);
}

Error refused(const HubConfig& hub, const HubName& name, const HttpResponse& response) {
    const std::string model = "--model: " + name.repository;
    const std::string known = hub.token.empty() ? "set HF_TOKEN to the token of an account that may read it"
                                                : "the account of HF_TOKEN may not read it";
    switch (response.status) {
        case 401:
        case 403:
            return invalid_argument(
                model + " is gated or private, or does not exist on " + hub.endpoint + "; " + known,
                "--model");
        case 404:
            return not_found(model + ": there is no such model on " + hub.endpoint, "--model");
        default:
            return Error{ErrorCode::unavailable,
                         model + ": " + hub.endpoint + " answers with status " +
                             std::to_string(response.status) + "; try again later",
                         "--model",
                         {}};
    }
}

Error unreachable(const HubConfig& hub, const HubName& name, const Error& error) {
    return {ErrorCode::unavailable,
            "--model: " + name.repository + " is not in the cache " + hub.cache + ", and " + hub.endpoint +
                " cannot be reached (" + error.message + "); is the network there?",
            "--model",
            {}};
}

Result<HubListing> list(HttpClient& http, const HubConfig& hub, const HubName& name) {
    const std::string url = hub.endpoint + "/api/models/" + name.repository + "/revision/main";
    auto answer = http.get(url + "?blobs=true", most_listing_bytes);
    if (!answer) return unreachable(hub, name, answer.error());
    if (answer->status != 200) return refused(hub, name, *answer);
    auto listing = parse_hub_listing(answer->body);
    if (!listing)
        return invalid_argument("--model: " + name.repository + ": " + listing.error().message, "--model");
    return listing;
}

// Size and hash of a file, where the listing did not have them.
Status complete(HttpClient& http, const HubConfig& hub, const HubName& name, const std::string& url,
                HubFile& file) {
    if (!file.hash.empty() && file.size != 0) return {};
    auto answer = http.head(url);
    if (!answer) return unreachable(hub, name, answer.error());
    if (answer->status >= 400) return refused(hub, name, *answer);
    const auto header = [&](const char* first, const char* second) {
        const auto& headers = answer->headers;
        const auto found = headers.contains(first) ? headers.find(first) : headers.find(second);
        std::string value = found == headers.end() ? std::string() : found->second;
        if (value.starts_with("W/")) value.erase(0, 2);
        std::erase(value, '"');
        return value;
    };
    const std::string hash = header("x-linked-etag", "etag"),
                      size = header("x-linked-size", "content-length");
    if (!is_hash(hash)) {
        return internal_error("--model: " + hub.endpoint + " does not say the hash of " + file.path +
                              ", so what it sends cannot be checked");
    }
    file.hash = hash;
    file.size = std::strtoull(size.c_str(), nullptr, 10);
    return {};
}

Status write_reference(const fs::path& repository, const std::string& commit) {
    // A name of its own: others may write the same reference at this moment.
    const fs::path folder = repository / "refs",
                   temporary = folder / ("main." + commit + "." + std::to_string(::getpid()) + ".incomplete");
    std::error_code error;
    fs::create_directories(folder, error);
    {
        std::ofstream file(temporary);
        file << commit;
        if (!file.flush()) return internal_error("cannot write " + temporary.string());
    }
    fs::rename(temporary, folder / "main", error);
    if (error) return internal_error("cannot write " + (folder / "main").string() + ": " + error.message());
    return {};
}

Result<std::string> fetch(const HubConfig& hub, const HubName& name, const fs::path& repository) {
    HttpClient http(hub.token);
    const auto listing = list(http, hub, name);
    if (!listing) return listing.error();
    auto chosen = choose_hub_files(listing->files, name);
    if (!chosen) return chosen.error();
    const fs::path snapshot = repository / "snapshots" / listing->commit;
    const std::string base = hub.endpoint + "/" + name.repository + "/resolve/" + listing->commit + "/";
    for (HubFile& file : *chosen) {
        const std::string url = base + url_path(file.path);
        if (auto known = complete(http, hub, name, url, file); !known) return known.error();
        const fs::path blob = repository / "blobs" / file.hash;
        HttpResponse last;
        if (auto arrived = download_blob(http, url, file, blob, last); !arrived) {
            const bool denied = last.status == 401 || last.status == 403 || last.status == 404;
            return denied ? refused(hub, name, last) : arrived.error();
        }
        if (auto linked = link_blob(blob, snapshot / file.path); !linked) return linked.error();
    }
    if (auto written = write_reference(repository, listing->commit); !written) return written.error();
    return place_of(snapshot, *chosen);
}

}  // namespace

Result<std::string> fetch_hub_model(const HubConfig& hub, const HubName& name) {
    const fs::path repository = fs::path(hub.cache) / name.folder();
    if (std::string path = cached(repository, name); !path.empty()) return path;
    if (hub.offline) {
        return not_found("--model: " + name.repository + " is not whole in the cache " + hub.cache +
                             ", and HF_HUB_OFFLINE forbids to download it",
                         "--model");
    }
    return fetch(hub, name, repository);
}

}  // namespace troupe
