#include "net/api_keys.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <vector>

#include "conf/values.hpp"

namespace troupe::net {
namespace {

constexpr double kCalmRefusals = 10;  // of a key in a second; more for longer than that are a flood
constexpr std::size_t kMaxKeyBytes = 256;
constexpr std::size_t kMaxKeys = 10000;
constexpr std::size_t kMaxLineBytes = 4096;
constexpr std::uint32_t kMaxLimit = 1'000'000;

KeyDigest digest_of(std::string_view text) {
    KeyDigest digest{};
    ::EVP_Digest(text.data(), text.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr);
    return digest;
}

// The same number for the same name, on every server and after every restart.
std::uint64_t tenant_of(std::string_view name) {
    const KeyDigest digest = digest_of(name);
    std::uint64_t tenant = 0;
    for (int i = 0; i < 8; ++i) tenant = tenant << 8 | digest[static_cast<std::size_t>(i)];
    return tenant;
}

// Tells keys without a name apart in the log.
std::string name_of(const KeyDigest& digest) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string name = "key-";
    for (std::size_t i = 0; i < 4; ++i) name += {hex[digest[i] >> 4], hex[digest[i] & 15]};
    return name;
}

std::vector<std::string_view> words_of(std::string_view line) {
    constexpr std::string_view space = " \t\r";
    std::vector<std::string_view> words;
    for (std::size_t begin = line.find_first_not_of(space); begin != std::string_view::npos;) {
        const std::size_t end = std::min(line.find_first_of(space, begin), line.size());
        words.push_back(line.substr(begin, end - begin));
        begin = line.find_first_not_of(space, end);
    }
    return words;
}

bool is_visible(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; });
}

// "10/s", "600/m", "5000/h"
Status read_rate(KeyLimits& limits, std::string_view text) {
    const std::size_t slash = text.find('/');
    const std::string_view unit = slash == std::string_view::npos ? "" : text.substr(slash + 1);
    const auto count = parse_integer(text.substr(0, slash), 1, kMaxLimit);
    limits.period = std::chrono::seconds(unit == "s" ? 1 : unit == "m" ? 60 : unit == "h" ? 3600 : 0);
    if (!count || limits.period.count() == 0) {
        return invalid_argument(
            "'" + std::string(text) +
            "' is no rate; write requests per second, minute or hour, such as 10/s or 600/m");
    }
    limits.requests = static_cast<std::uint32_t>(*count);
    return {};
}

Status read_setting(ApiKey& key, std::string_view word, std::string& tenant) {
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : word.substr(equals + 1);
    if (word == "admin") {
        key.admin = true;
        return {};
    }
    if (equals != std::string_view::npos && value.empty()) {
        return invalid_argument("'" + std::string(word) + "' has no value");
    }
    if (name == "name") {
        key.name = value;
    } else if (name == "tenant") {
        tenant = value;
    } else if (name == "rate") {
        return read_rate(key.limits, value);
    } else if (name == "concurrent") {
        const auto count = parse_integer(value, 1, kMaxLimit);
        if (!count) return invalid_argument("concurrent: " + count.error().message);
        key.limits.concurrent = static_cast<std::uint32_t>(*count);
    } else {
        return invalid_argument(
            "'" + std::string(word) +
            "' is unknown; behind a key may stand name=, tenant=, concurrent=, rate= and admin");
    }
    return {};
}

void warn_if_others_can_read(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) == 0 && (found.st_mode & S_IROTH) != 0) {
        spdlog::warn("{} holds keys and can be read by every user of this machine: chmod o-r it", path);
    }
}

LimitReached reached(std::string message, const char* code, std::uint32_t retry_after_s) {
    return {{ErrorCode::resource_exhausted, std::move(message), {}, code}, retry_after_s};
}

// A request for so many sequences finds no place for them.
LimitReached all_taken(const KeyLimits& limits, std::uint32_t sequences) {
    const std::string most = "this key may have " + std::to_string(limits.concurrent) +
                             " sequences (choices of prompts) at the same time";
    if (sequences <= limits.concurrent)
        return reached(most + "; wait for one to end", "key_concurrency_limit", 1);
    return {invalid_argument(most + ", and this request asks for " + std::to_string(sequences) +
                                 " (n for each prompt); ask for fewer",
                             "n", "key_concurrency_limit"),
            1};
}

}  // namespace

std::optional<LimitReached> KeyUse::begin(const KeyLimits& limits, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    if (limits.concurrent != 0 && running_ >= limits.concurrent) return refuse(all_taken(limits, 1), now);
    auto refused = spend(limits, now);
    if (!refused) ++running_;
    return refused;
}

std::optional<LimitReached> KeyUse::follow(const KeyLimits& limits, Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    return spend(limits, now);
}

LimitReached KeyUse::refuse(LimitReached why, Clock::time_point now) {
    const double passed = std::chrono::duration<double>(now - refused_).count();
    refusals_ = std::max(0.0, refusals_ - passed * kCalmRefusals) + 1;
    refused_ = now;
    why.flood = refusals_ > 2 * kCalmRefusals;
    return why;
}

std::optional<LimitReached> KeyUse::spend(const KeyLimits& limits, Clock::time_point now) {
    if (limits.requests == 0) return std::nullopt;
    const double per_second = limits.requests / std::chrono::duration<double>(limits.period).count();
    spent_ = std::max(0.0, spent_ - std::chrono::duration<double>(now - since_).count() * per_second);
    since_ = now;
    if (spent_ + 1 > limits.requests) {
        const auto wait = static_cast<std::uint32_t>(std::ceil((spent_ + 1 - limits.requests) / per_second));
        return refuse(reached("this key may send " + std::to_string(limits.requests) + " requests in " +
                                  format_duration(static_cast<std::uint32_t>(limits.period.count())) +
                                  "; try again in " + std::to_string(wait) + " s",
                              "key_rate_limit", std::max(wait, 1U)),
                      now);
    }
    spent_ += 1;
    return std::nullopt;
}

std::optional<LimitReached> KeyUse::grow(const KeyLimits& limits, std::uint32_t sequences) {
    const std::lock_guard lock(mutex_);
    if (limits.concurrent != 0 && running_ + sequences > limits.concurrent)
        return all_taken(limits, sequences + 1);
    running_ += sequences;
    return std::nullopt;
}

void KeyUse::end(std::uint32_t sequences) {
    const std::lock_guard lock(mutex_);
    running_ -= sequences;
}

std::optional<LimitReached> KeyLease::count_sequences(std::uint32_t sequences) {
    auto reached = key_->use->grow(key_->limits, sequences - sequences_);
    if (!reached) sequences_ = sequences;
    return reached;
}

std::optional<LimitReached> begin_request(const ApiKeyPtr& key, KeyLeasePtr& lease) {
    if (!key) return std::nullopt;
    const auto now = KeyUse::Clock::now();
    if (lease) return key->use->follow(key->limits, now);
    auto refused = key->use->begin(key->limits, now);
    if (!refused) lease = std::make_shared<KeyLease>(key);
    return refused;
}

Status ApiKeys::add(std::string_view key, ApiKey entry) {
    if (key.empty() || key.size() > kMaxKeyBytes || !is_visible(key)) {
        return invalid_argument("a key has 1 to " + std::to_string(kMaxKeyBytes) +
                                " visible ASCII characters, without spaces");
    }
    entry.digest = digest_of(key);
    if (entry.name.empty()) entry.name = name_of(entry.digest);
    if (keys_.contains(entry.digest)) return invalid_argument("this key is given twice");
    if (keys_.size() == kMaxKeys) return invalid_argument("more than " + std::to_string(kMaxKeys) + " keys");
    (entry.admin ? has_admin_ : has_user_) = true;
    const KeyDigest digest = entry.digest;
    keys_.emplace(digest, std::make_shared<ApiKey>(std::move(entry)));
    return {};
}

Status ApiKeys::add_line(std::string_view line) {
    if (line.size() > kMaxLineBytes) return invalid_argument("the line is too long");
    const auto words = words_of(line);
    if (words.empty() || words.front().front() == '#') return {};
    ApiKey entry;
    std::string tenant;
    for (std::size_t i = 1; i < words.size() && words[i].front() != '#'; ++i) {
        if (auto status = read_setting(entry, words[i], tenant); !status) return status;
    }
    if (entry.name.empty()) entry.name = name_of(digest_of(words.front()));
    entry.tenant = tenant_of(tenant.empty() ? entry.name : tenant);
    return add(words.front(), std::move(entry));
}

Result<ApiKeys> ApiKeys::load(const ServerConfig& config) {
    ApiKeys keys;
    const auto from_option = [&](const std::string& key, const char* flag, const char* name, bool admin) {
        if (key.empty()) return Status();
        ApiKey entry;
        entry.name = name;
        entry.admin = admin;
        auto status = keys.add(key, std::move(entry));
        return status ? status : invalid_argument(std::string(flag) + ": " + status.error().message, flag);
    };
    if (auto status = from_option(config.api_key, "--api-key", "default", false); !status)
        return status.error();
    if (auto status = from_option(config.admin_api_key, "--admin-api-key", "admin", true); !status) {
        return status.error();
    }
    const std::string& path = config.api_key_file;
    if (path.empty()) return keys;
    constexpr const char* flag = "--api-key-file";
    std::ifstream file(path, std::ios::binary);
    std::string line;
    for (std::size_t number = 1; std::getline(file, line); ++number) {
        if (auto status = keys.add_line(line); !status) {
            return invalid_argument(path + ":" + std::to_string(number) + ": " + status.error().message,
                                    flag);
        }
    }
    if (!file.eof()) return invalid_argument(std::string(flag) + ": " + path + " cannot be read", flag);
    if (keys.keys_.empty()) {
        return invalid_argument(std::string(flag) + ": " + path + " holds no key; write one on a line", flag);
    }
    warn_if_others_can_read(path);
    return keys;
}

ApiKeyPtr ApiKeys::find(std::string_view presented) const {
    const KeyDigest digest = digest_of(presented);
    ApiKeyPtr found;
    for (const auto& [known, key] : keys_) {
        if (::CRYPTO_memcmp(known.data(), digest.data(), digest.size()) == 0) found = key;
    }
    return found;
}

void ApiKeys::inherit(const ApiKeys& before) {
    for (const auto& [digest, key] : keys_) {
        if (const auto old = before.keys_.find(digest); old != before.keys_.end())
            key->use = old->second->use;
    }
}

}  // namespace troupe::net
