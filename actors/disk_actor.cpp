#include "actors/disk_actor.hpp"

#include <memory>

#include "actors/swap_file.hpp"

namespace troupe {

DiskActor::behavior_type disk(DiskActor::pointer self, const DiskOptions& options) {
    exit_with_exceptions(self);
    give_way_to_compute(self);
    auto file = std::make_shared<Result<SwapFile>>(
        SwapFile::create(options.directory, options.page_bytes, options.num_pages));
    return {[file](const DiskTransfer& message, const PageHandle& page) -> DiskTransferred {
        if (!file->ok()) return {false, file->error()};
        const Status status = message.write ? (*file)->write(message.page, *page.bytes)
                                            : (*file)->read(message.page, *page.bytes);
        return {status.ok(), status.ok() ? Error{} : status.error()};
    }};
}

}  // namespace troupe
