// One file of a hub into its cache: resumed, checked, kept only if it is right.
#pragma once
#include <filesystem>
#include <string>

#include "apps/http_client.hpp"
#include "apps/hub_files.hpp"
#include "core/status.hpp"

namespace troupe {

// Nothing to do if `blob` is there. Bytes gather in blob.incomplete, which later attempts, also those of
// other processes, continue; processes wait for each other there. `last` is the last answer of the server.
Status download_blob(HttpClient& http, const std::string& url, const HubFile& file,
                     const std::filesystem::path& blob, HttpResponse& last);

// Makes `link` point to `blob`, relatively, as huggingface_hub does.
Status link_blob(const std::filesystem::path& blob, const std::filesystem::path& link);

// sha256 of the contents if `like` has 64 digits, or the sha1 that git gives a file, if 40; empty: cannot be
// read.
std::string hash_of(const std::filesystem::path& file, const std::string& like);

}  // namespace troupe
