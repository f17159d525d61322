#include "actors/swap_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "actors/page_checksum.hpp"

namespace troupe {
namespace {

// Readable by its owner only, and without a name from the start; where the file system cannot do that, the
// name is taken away at once. -1 with errno otherwise.
int open_nameless(const std::string& directory) {
    constexpr int owner_only = 0600;
    const int file = ::open(directory.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, owner_only);
    if (file >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return file;
    std::string path = directory + "/troupe-swap-XXXXXX";
    const int named = ::mkostemp(path.data(), O_CLOEXEC);  // 0600 too
    if (named >= 0) ::unlink(path.c_str());
    return named;
}

// pread or pwrite until all is there. 0, or the errno; ENODATA if the file ends before.
template <class Transfer>
int transfer_all(Transfer transfer, std::size_t size, std::int64_t offset) {
    for (std::size_t done = 0; done < size;) {
        const ssize_t count = transfer(done, size - done, offset + static_cast<std::int64_t>(done));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return errno;
        if (count == 0) return ENODATA;
        done += static_cast<std::size_t>(count);
    }
    return 0;
}

}  // namespace

Result<SwapFile> SwapFile::create(const std::string& directory, std::size_t page_bytes,
                                  std::uint32_t num_pages) {
    const int file = open_nameless(directory);
    if (file < 0) {
        return Error{ErrorCode::unavailable,
                     "--swap-path: no file can be made in " + directory + " (" + std::strerror(errno) +
                         "); name a directory that exists and may be written to",
                     "--swap-path",
                     {}};
    }
    return SwapFile(file, directory, page_bytes, num_pages);
}

SwapFile::SwapFile(int file, std::string directory, std::size_t page_bytes, std::uint32_t num_pages)
    : file_(file), directory_(std::move(directory)), page_bytes_(page_bytes), pages_(num_pages) {}

SwapFile::SwapFile(SwapFile&& other) noexcept
    : file_(std::exchange(other.file_, -1)),
      directory_(std::move(other.directory_)),
      page_bytes_(other.page_bytes_),
      pages_(std::move(other.pages_)) {}

SwapFile::~SwapFile() {
    if (file_ >= 0) ::close(file_);
}

Status SwapFile::write(std::int64_t page, std::span<const std::byte> bytes) {
    if (Status checked = check(page, bytes.size()); !checked) return checked;
    Page& entry = pages_[static_cast<std::size_t>(page)];
    entry.written = false;
    const auto put = [&](std::size_t done, std::size_t left, std::int64_t offset) {
        return ::pwrite(file_, bytes.data() + done, left, offset);
    };
    const int failed = transfer_all(put, bytes.size(), page * static_cast<std::int64_t>(page_bytes_));
    if (failed != 0) return failure("written to", std::strerror(failed));
    entry = {page_checksum(bytes, static_cast<std::uint64_t>(page)), true};
    return {};
}

Status SwapFile::read(std::int64_t page, std::span<std::byte> bytes) {
    if (Status checked = check(page, bytes.size()); !checked) return checked;
    const Page& entry = pages_[static_cast<std::size_t>(page)];
    if (!entry.written) return internal_error("The swap file has no such page.");
    const auto get = [&](std::size_t done, std::size_t left, std::int64_t offset) {
        return ::pread(file_, bytes.data() + done, left, offset);
    };
    const int failed = transfer_all(get, bytes.size(), page * static_cast<std::int64_t>(page_bytes_));
    if (failed != 0) return failure("read from", std::strerror(failed));
    if (page_checksum(bytes, static_cast<std::uint64_t>(page)) != entry.checksum) {
        return Error{ErrorCode::internal,
                     "a page of the swap file in " + directory_ + " is not what was written there",
                     "--swap-path", "corrupted_page"};
    }
    return {};
}

Status SwapFile::check(std::int64_t page, std::size_t bytes) const {
    if (page < 0 || page >= static_cast<std::int64_t>(pages_.size()) || bytes != page_bytes_)
        return internal_error("The swap file has no such page.");
    return {};
}

Error SwapFile::failure(const char* doing, const std::string& why) const {
    return {ErrorCode::unavailable,
            std::string("the swap file in ") + directory_ + " cannot be " + doing + " (" + why + ")",
            "--swap-path",
            {}};
}

}  // namespace troupe
