#include "model/formats/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace troupe {

namespace {

Error cannot_open(const std::filesystem::path& path, int error) {
    const std::string message = "Cannot open " + path.string() + ": " + std::strerror(error) + ".";
    return error == ENOENT || error == ENOTDIR ? not_found(message) : invalid_argument(message);
}

struct Descriptor {
    int fd;
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
};

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
    // Non-blocking, so that a named pipe is refused below instead of waiting for its writer.
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.fd < 0) return cannot_open(path, errno);
    struct stat info {};
    if (::fstat(file.fd, &info) != 0) return cannot_open(path, errno);
    if (!S_ISREG(info.st_mode))
        return invalid_argument("Cannot read " + path.string() + ": it is not a regular file.");
    if (info.st_size == 0) return invalid_argument("Cannot read " + path.string() + ": the file is empty.");
    const auto size = static_cast<std::size_t>(info.st_size);
    void* data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.fd, 0);
    if (data == MAP_FAILED) {
        return invalid_argument("Cannot map " + path.string() + " into memory: " + std::strerror(errno) +
                                ".");
    }
    return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

}  // namespace troupe
