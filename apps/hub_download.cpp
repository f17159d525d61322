#include "apps/hub_download.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>

#include "apps/console.hpp"
#include "conf/values.hpp"

namespace troupe {
namespace {

namespace fs = std::filesystem;
constexpr int most_attempts = 5;  // that came no further than those before
constexpr auto first_pause = std::chrono::milliseconds(250);

// A file descriptor that ends with its scope.
class OpenFile {
  public:
    explicit OpenFile(const fs::path& path)
        : descriptor_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {}
    ~OpenFile() {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    int descriptor() const { return descriptor_; }

  private:
    int descriptor_;
};

Error system_error(const std::string& what, const fs::path& path) {
    const int code = errno;
    std::string message = what + " " + path.string() + ": " + std::strerror(code);
    if (code == ENOSPC || code == EDQUOT) {
        message +=
            "; make room there, or name another place with HF_HOME. What has arrived is kept and continued";
    }
    return internal_error(message);
}

// Gathers the bytes of one attempt after another.
class PartialFile {
  public:
    PartialFile(const OpenFile& file, fs::path path, const HubFile& wanted)
        : descriptor_(file.descriptor()),
          path_(std::move(path)),
          wanted_(wanted),
          bar_("downloading " + wanted.path) {
        const off_t end = ::lseek(descriptor_, 0, SEEK_END);
        size_ = end > 0 ? static_cast<std::uint64_t>(end) : 0;
    }

    std::uint64_t size() const { return size_; }

    // The server sends the rest (206), the whole (200), or something else that is not the file.
    Status begin(const HttpResponse& response) {
        if (response.status >= 300) return {};
        if (response.status != 206) return restart();
        const auto range = response.headers.find("content-range");  // "bytes FIRST-LAST/SIZE"
        const std::string start = "bytes " + std::to_string(size_) + "-";
        if (range != response.headers.end() && range->second.starts_with(start)) return {};
        if (auto restarted = restart(); !restarted) return restarted;
        return Error{
            ErrorCode::unavailable, "the server sends other bytes than were asked for", {}, "connection"};
    }

    Status take(std::string_view bytes) {
        if (wanted_.size != 0 && size_ + bytes.size() > wanted_.size)
            return internal_error(wanted_.path + " is longer than the hub said; nothing more is taken of it");
        while (!bytes.empty()) {
            const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return system_error("cannot write", path_);
            bytes.remove_prefix(static_cast<std::size_t>(written));
            size_ += static_cast<std::uint64_t>(written);
        }
        bar_.show(size_, wanted_.size, format_size(size_) + " of " + format_size(wanted_.size));
        return {};
    }

    Status restart() {
        if (::ftruncate(descriptor_, 0) != 0 || ::lseek(descriptor_, 0, SEEK_SET) != 0)
            return system_error("cannot write", path_);
        size_ = 0;
        return {};
    }

  private:
    int descriptor_;
    fs::path path_;
    const HubFile& wanted_;
    ProgressBar bar_;
    std::uint64_t size_ = 0;
};

// Attempts until all of it is there.
Status gather(HttpClient& http, const std::string& url, const HubFile& file, PartialFile& partial,
              HttpResponse& last) {
    auto pause = first_pause;
    std::uint64_t furthest = partial.size();
    for (int attempt = 0; file.size == 0 || partial.size() < file.size; ++attempt) {
        auto answer = http.download(
            url, partial.size(), [&](const HttpResponse& response) { return partial.begin(response); },
            [&](std::string_view bytes) { return partial.take(bytes); });
        const bool broken = !answer && answer.error().tag == "connection";
        if (!answer && !broken) return answer.error();
        if (answer) {
            last = *answer;
            if (answer->status < 300 && (file.size == 0 || partial.size() == file.size)) return {};
            if (answer->status == 416) {  // no such range: what is here is not a part of it
                if (auto restarted = partial.restart(); !restarted) return restarted;
            } else if (answer->status >= 400 && answer->status < 500 && answer->status != 429) {
                return internal_error(url + " answers with status " + std::to_string(answer->status));
            }
        }
        if (partial.size() > furthest) {
            furthest = partial.size();
            attempt = 0;
            pause = first_pause;
        }
        if (attempt >= most_attempts) {
            const std::string why =
                broken ? answer.error().message : "status " + std::to_string(answer->status);
            return Error{ErrorCode::unavailable,
                         "--model: the download of " + file.path + " was cut again and again (" + why +
                             "); run this again to continue it",
                         "--model",
                         {}};
        }
        std::this_thread::sleep_for(pause);
        pause *= 2;
    }
    return {};
}

Status check_space(const fs::path& folder, std::uint64_t needed) {
    std::error_code error;
    const auto space = fs::space(folder, error);
    if (error || space.available >= needed) return {};
    return internal_error("the disk of " + folder.string() + " has " + format_size(space.available) +
                          " left, but " + format_size(needed) +
                          " are needed; make room there, or name another place with HF_HOME");
}

}  // namespace

Status download_blob(HttpClient& http, const std::string& url, const HubFile& file, const fs::path& blob,
                     HttpResponse& last) {
    std::error_code error;
    if (fs::exists(blob, error)) return {};
    fs::create_directories(blob.parent_path(), error);
    if (error)
        return internal_error("cannot make the folder " + blob.parent_path().string() + ": " +
                              error.message());
    const fs::path partial_path = blob.string() + ".incomplete";
    const OpenFile opened(partial_path);
    if (opened.descriptor() < 0) return system_error("cannot write", partial_path);
    while (::flock(opened.descriptor(), LOCK_EX) != 0 && errno == EINTR) {
    }
    if (fs::exists(blob, error)) return {};  // another process was first
    PartialFile partial(opened, partial_path, file);
    const std::uint64_t missing = file.size - std::min(file.size, partial.size());
    if (auto space = check_space(blob.parent_path(), missing); !space) return space;
    if (auto all = gather(http, url, file, partial, last); !all) return all;
    if (const std::string hash = hash_of(partial_path, file.hash); hash != file.hash) {
        fs::remove(partial_path, error);
        return internal_error("--model: " + file.path + " arrived damaged: its hash is " + hash +
                              " and should be " + file.hash + ". Nothing was kept; try again");
    }
    fs::rename(partial_path, blob, error);
    if (error) return internal_error("cannot rename " + partial_path.string() + ": " + error.message());
    return {};
}

Status link_blob(const fs::path& blob, const fs::path& link) {
    std::error_code error;
    fs::create_directories(link.parent_path(), error);
    const fs::path target = blob.lexically_relative(link.parent_path());
    if (fs::is_symlink(link, error) && fs::read_symlink(link, error) == target) return {};
    fs::remove(link, error);
    fs::create_symlink(target, link, error);
    if (!error || fs::exists(link)) return {};  // another process may have made it just now
    return internal_error("cannot make the link " + link.string() + ": " + error.message());
}

std::string hash_of(const fs::path& path, const std::string& like) {
    std::ifstream file(path, std::ios::binary);
    const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
    const bool git = like.size() == 40;
    if (!file || EVP_DigestInit_ex(context.get(), git ? EVP_sha1() : EVP_sha256(), nullptr) != 1) return {};
    if (git) {  // git-hash-object: "blob SIZE" and a zero byte come first
        const std::string head = "blob " + std::to_string(fs::file_size(path)) + '\0';
        EVP_DigestUpdate(context.get(), head.data(), head.size());
    }
    std::array<char, 1U << 16> buffer{};
    while (file.read(buffer.data(), buffer.size()) || file.gcount() > 0) {
        EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(file.gcount()));
    }
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_DigestFinal_ex(context.get(), digest.data(), &size) != 1) return {};
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (unsigned i = 0; i < size; ++i) text += {digits[digest[i] >> 4], digits[digest[i] & 15]};
    return text;
}

}  // namespace troupe
