// Who may use the server and how much: the keys of --api-key, --admin-api-key and --api-key-file.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe::net {

struct KeyLimits {
    std::uint32_t concurrent = 0;  // sequences at the same time; 0: any number
    std::uint32_t requests = 0;    // in one period; 0: any number
    std::chrono::milliseconds period{0};
    bool operator==(const KeyLimits&) const = default;
};

struct LimitReached {
    Error error;  // 429, names the limit
    std::uint32_t retry_after_s = 1;
    bool flood = false;  // the key has been refused often lately: whoever uses it may be told later
};

// What a key has used of its limits. Outlives a reload of the file. Thread-safe.
class KeyUse {
  public:
    using Clock = std::chrono::steady_clock;

    // Takes one request, of one sequence, out of the limits, or says which one is reached.
    std::optional<LimitReached> begin(const KeyLimits& limits, Clock::time_point now);
    // The same for one that follows another in its place: it costs of the rate only.
    std::optional<LimitReached> follow(const KeyLimits& limits, Clock::time_point now);
    // One that began has that many sequences more.
    std::optional<LimitReached> grow(const KeyLimits& limits, std::uint32_t sequences);
    void end(std::uint32_t sequences);  // all of one that began

  private:
    std::optional<LimitReached> spend(const KeyLimits& limits, Clock::time_point now);
    LimitReached refuse(LimitReached why, Clock::time_point now);

    std::mutex mutex_;
    std::uint32_t running_ = 0;
    double spent_ = 0;  // of the period's requests; flows off at an even rate
    Clock::time_point since_{};
    double refusals_ = 0;  // they flow off, too
    Clock::time_point refused_{};
};

using KeyDigest = std::array<unsigned char, 32>;

struct ApiKey {
    std::string name;  // for the log; the key itself is nowhere kept
    std::uint64_t tenant = 0;
    bool admin = false;
    KeyLimits limits;
    KeyDigest digest{};  // SHA-256
    std::shared_ptr<KeyUse> use = std::make_shared<KeyUse>();
};
using ApiKeyPtr = std::shared_ptr<const ApiKey>;

// Whose requests these are; of a server without keys all are one tenant's.
inline std::uint64_t tenant_of(const ApiKeyPtr& key) { return key ? key->tenant : 0; }

// One request within a key's limits, as long as it lives.
class KeyLease {
  public:
    explicit KeyLease(ApiKeyPtr key) : key_(std::move(key)) {}
    ~KeyLease() { key_->use->end(sequences_); }
    // The request turns out to have that many sequences, one or more: choices of all its prompts. Belongs to
    // the request's connection.
    std::optional<LimitReached> count_sequences(std::uint32_t sequences);
    bool limits_concurrency() const { return key_->limits.concurrent != 0; }
    std::uint64_t tenant() const { return key_->tenant; }
    KeyLease(const KeyLease&) = delete;
    KeyLease& operator=(const KeyLease&) = delete;

  private:
    const ApiKeyPtr key_;
    std::uint32_t sequences_ = 1;
};
using KeyLeasePtr = std::shared_ptr<KeyLease>;

// Makes `lease`, unless there is no key to count for or a limit of it is reached. One that is there already
// goes on to the new request.
std::optional<LimitReached> begin_request(const ApiKeyPtr& key, KeyLeasePtr& lease);

// Immutable: a reload makes another one.
class ApiKeys {
  public:
    // Reads --api-key-file; errors name the file and the line.
    static Result<ApiKeys> load(const ServerConfig& config);

    bool open() const { return !has_user_; }  // anyone may use the server; not its administration
    bool has_admin() const { return has_admin_; }
    // Null if there is no such key. Takes the same time whichever of the keys it is, or none, or of what
    // length.
    ApiKeyPtr find(std::string_view presented) const;
    // Keys that were there before go on with what they have used.
    void inherit(const ApiKeys& before);

  private:
    Status add(std::string_view key, ApiKey entry);
    Status add_line(std::string_view line);

    std::map<KeyDigest, std::shared_ptr<ApiKey>> keys_;
    bool has_user_ = false, has_admin_ = false;
};

// The keys in force. Thread-safe.
class KeyRing {
  public:
    std::shared_ptr<const ApiKeys> get() const {
        const std::lock_guard lock(mutex_);
        return keys_;
    }
    void set(ApiKeys keys) {
        const std::lock_guard lock(mutex_);
        keys.inherit(*keys_);
        keys_ = std::make_shared<const ApiKeys>(std::move(keys));
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const ApiKeys> keys_ = std::make_shared<const ApiKeys>();
};

}  // namespace troupe::net
