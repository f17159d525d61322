#include "model/formats/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace troupe {

Result<OutputFile> OutputFile::create(const std::filesystem::path& path) {
    const std::filesystem::path temporary = path.string() + ".partial";
    std::error_code error;
    if (std::filesystem::is_directory(path, error))
        return invalid_argument(path.string() + " is a directory; give the name of a file.");
    const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0)
        return invalid_argument("cannot write " + temporary.string() + ": " + std::strerror(errno) + ".");
    return OutputFile(path, temporary, descriptor);
}

OutputFile::OutputFile(std::filesystem::path path, std::filesystem::path temporary, int descriptor)
    : path_(std::move(path)), temporary_(std::move(temporary)), descriptor_(descriptor) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

OutputFile::~OutputFile() {
    if (descriptor_ < 0) return;
    ::close(descriptor_);
    ::unlink(temporary_.c_str());
}

Error OutputFile::failed(const char* what, int number) const {
    const char* advice = number == ENOSPC || number == EDQUOT ? "; free some space, or write elsewhere" : "";
    return internal_error(std::string("cannot ") + what + " " + temporary_.string() + " after " +
                          std::to_string(size_) + " bytes: " + std::strerror(number) + advice + ".");
}

Status OutputFile::write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return failed("write", written < 0 ? errno : EIO);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        size_ += static_cast<std::uint64_t>(written);
    }
    return {};
}

Status OutputFile::finish() {
    if (::fsync(descriptor_) != 0) return failed("write", errno);
    if (::close(std::exchange(descriptor_, -1)) != 0) {
        const int number = errno;
        ::unlink(temporary_.c_str());
        return failed("write", number);
    }
    if (std::rename(temporary_.c_str(), path_.c_str()) == 0) return {};
    const int number = errno;
    ::unlink(temporary_.c_str());
    return failed("rename", number);
}

}  // namespace troupe
