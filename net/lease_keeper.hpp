// Places within keys' limits that belong to responses which run on without a reader: each is given back when
// its response has ended. Without it a client could put any number of responses to work by going away after
// each.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "actors/client_port.hpp"
#include "net/api_keys.hpp"

namespace troupe::net {

// Thread-safe.
class LeaseKeeper {
  public:
    // Nothing happens for a key without a limit of concurrency, or without a key.
    void keep(const std::string& id, KeyLeasePtr lease) {
        if (!lease || !lease->limits_concurrency()) return;
        const std::lock_guard lock(kept_->mutex);
        kept_->leases[id] = std::move(lease);
    }

    // Its reader is back. Null if there is none.
    KeyLeasePtr take(const std::string& id) {
        const std::lock_guard lock(kept_->mutex);
        auto node = kept_->leases.extract(id);
        return node ? std::move(node.mapped()) : nullptr;
    }

    // Asks the port after each response; to be called now and then.
    void check(ClientPort& port) const {
        for (const auto& [id, tenant] : tenants()) {
            port.lookup(id, tenant, [kept = kept_, id = id](const Result<GenerationSnapshot>& snapshot) {
                if (snapshot && !snapshot->reason) return;
                const std::lock_guard lock(kept->mutex);
                kept->leases.erase(id);
            });
        }
    }

  private:
    // The port's answers may come after the keeper has gone.
    struct Kept {
        std::mutex mutex;
        std::map<std::string, KeyLeasePtr> leases;  // by the response's id
    };

    std::map<std::string, std::uint64_t> tenants() const {
        const std::lock_guard lock(kept_->mutex);
        std::map<std::string, std::uint64_t> result;
        for (const auto& [id, lease] : kept_->leases) result[id] = lease->tenant();
        return result;
    }

    const std::shared_ptr<Kept> kept_ = std::make_shared<Kept>();
};

}  // namespace troupe::net
