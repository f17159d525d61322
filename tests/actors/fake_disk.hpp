// A disk behind its actor that does wrong what a test tells it to.
#pragma once
#include <map>
#include <memory>
#include <stdexcept>
#include <vector>

#include "actors/messages.hpp"

namespace troupe {

// What the disk does wrong.
struct Disk {
    std::map<std::int64_t, std::vector<std::byte>> pages;
    bool full = false, hangs = false, dies = false, corrupts = false;
    int transfers = 0;
};

inline DiskActor::behavior_type fake_disk(DiskActor::pointer self, std::shared_ptr<Disk> state) {
    exit_with_exceptions(self);
    return {[self, state](const DiskTransfer& message,
                          const PageHandle& page) -> caf::result<DiskTransferred> {
        ++state->transfers;
        if (state->dies) throw std::runtime_error("the disk is on fire");
        if (state->hangs) return self->make_response_promise<DiskTransferred>();  // nobody fulfils it
        if (message.write) {
            if (state->full) return DiskTransferred{false, Error{ErrorCode::unavailable, "full", {}, {}}};
            state->pages[message.page] = *page.bytes;
        } else {
            if (state->corrupts)
                return DiskTransferred{false, Error{ErrorCode::internal, "changed", {}, "corrupted_page"}};
            *page.bytes = state->pages.at(message.page);
        }
        return DiskTransferred{true, {}};
    }};
}

}  // namespace troupe
