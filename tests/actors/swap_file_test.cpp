// The swap file: what is read is what was written, or an error; nothing is left behind, nobody else can look.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>

#include "actors/host_pages.hpp"
#include "actors/page_checksum.hpp"
#include "actors/swap_file.hpp"
#include "tests/catch.hpp"

using namespace troupe;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t page_bytes = 5000;  // no multiple of anything

struct Directory {
    Directory() {
        std::string pattern = fs::temp_directory_path() / "swap-file-XXXXXX";
        path = ::mkdtemp(pattern.data());
    }
    ~Directory() { fs::remove_all(path); }
    std::string path;
};

std::vector<std::byte> page_of(unsigned seed) {
    std::mt19937 random(seed);
    std::vector<std::byte> page(page_bytes);
    for (auto& one : page) one = static_cast<std::byte>(random());
    return page;
}

// The files of this process that lie in the directory: their link in /proc, and where they were.
std::map<std::string, std::string> open_files_in(const std::string& directory) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        const auto target = fs::read_symlink(entry.path(), gone).string();
        if (target.starts_with(directory)) found[entry.path()] = target;
    }
    return found;
}

SwapFile create(const Directory& directory, std::uint32_t pages) {
    auto file = SwapFile::create(directory.path, page_bytes, pages);
    REQUIRE(file.ok());
    return *std::move(file);
}

// Files of this process may be that long only, as on a disk that is full.
class FileSizeLimit {
  public:
    explicit FileSizeLimit(rlim_t bytes) {
        std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit limit{bytes, before_.rlim_max};
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FileSizeLimit() { setrlimit(RLIMIT_FSIZE, &before_); }

  private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("pages of the swap file come back, in any order, overwritten too") {
    Directory directory;
    auto file = create(directory, 7);
    std::vector<std::byte> read(page_bytes);
    for (unsigned page : {6U, 0U, 3U, 6U}) REQUIRE(file.write(page, page_of(page)));
    REQUIRE(file.write(3, page_of(99)));
    for (auto [page, seed] : {std::pair{0U, 0U}, {3U, 99U}, {6U, 6U}}) {
        REQUIRE(file.read(page, read));
        CHECK(read == page_of(seed));
    }
}

TEST_CASE("a page that does not exist, or was never written, is an error") {
    Directory directory;
    auto file = create(directory, 2);
    std::vector<std::byte> page = page_of(1), shorter(page_bytes - 1);
    CHECK_FALSE(file.write(2, page).ok());
    CHECK_FALSE(file.write(-1, page).ok());
    CHECK_FALSE(file.write(0, shorter).ok());
    CHECK_FALSE(file.read(1, page).ok());
}

TEST_CASE("the swap file has no name, and is its owner's only") {
    Directory directory;
    auto file = create(directory, 2);
    REQUIRE(file.write(1, page_of(1)));
    CHECK(fs::is_empty(directory.path));
    const auto files = open_files_in(directory.path);
    REQUIRE(files.size() == 1);
    struct stat status {};
    REQUIRE(::stat(files.begin()->first.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(status.st_nlink == 0);
}

TEST_CASE("a byte that changed on disk is noticed, and the other pages are not lost") {
    Directory directory;
    auto file = create(directory, 3);
    for (unsigned page = 0; page < 3; ++page) REQUIRE(file.write(page, page_of(page)));
    const int other = ::open(open_files_in(directory.path).begin()->first.c_str(), O_RDWR);
    REQUIRE(other >= 0);
    std::vector<std::byte> read(page_bytes);
    for (std::size_t at : {std::size_t{0}, std::size_t{1234}, page_bytes - 1}) {
        const auto offset = static_cast<off_t>(page_bytes + at);
        const std::byte before = page_of(1)[at], flipped = before ^ std::byte{0x10};
        REQUIRE(::pwrite(other, &flipped, 1, offset) == 1);
        const Status status = file.read(1, read);
        REQUIRE_FALSE(status.ok());
        CHECK(status.error().tag == "corrupted_page");
        REQUIRE(::pwrite(other, &before, 1, offset) == 1);
        CHECK(file.read(1, read).ok());
    }
    // Another page's bytes in its place, which are sound in themselves.
    const auto wrong = page_of(2);
    REQUIRE(::pwrite(other, wrong.data(), page_bytes, page_bytes) == static_cast<ssize_t>(page_bytes));
    CHECK(file.read(1, read).error().tag == "corrupted_page");
    REQUIRE(::ftruncate(other, page_bytes) == 0);
    CHECK_FALSE(file.read(2, read).ok());
    CHECK(file.read(0, read).ok());
    ::close(other);
}

TEST_CASE("a disk that gets full takes no more, and gives back what it has") {
    Directory directory;
    auto file = create(directory, 4);
    std::vector<std::byte> read(page_bytes);
    {
        FileSizeLimit limit(2 * page_bytes + 100);  // page 2 is cut short
        CHECK(file.write(0, page_of(0)).ok());
        CHECK(file.write(1, page_of(1)).ok());
        const Status full = file.write(2, page_of(2));
        REQUIRE_FALSE(full.ok());
        CHECK(full.error().code == ErrorCode::unavailable);
        CHECK(full.error().message.find(directory.path) != std::string::npos);
        CHECK_FALSE(file.read(2, read).ok());
        REQUIRE(file.read(1, read));
        CHECK(read == page_of(1));
    }
    CHECK(file.write(2, page_of(2)).ok());
}

TEST_CASE("a directory that does not exist or is none is an error that names the flag") {
    Directory directory;
    for (const std::string& path : {directory.path + "/none", std::string("/proc/version"), std::string()}) {
        const auto file = SwapFile::create(path, page_bytes, 1);
        REQUIRE_FALSE(file.ok());
        CHECK(file.error().message.find("--swap-path") != std::string::npos);
    }
}

TEST_CASE("a page's checksum sees every bit and the page's place") {
    for (std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{31}, std::size_t{32}, std::size_t{77}}) {
        std::vector<std::byte> page(size);
        const auto sum = page_checksum(page, 3);
        CHECK(page_checksum(page, 4) != sum);
        for (std::size_t bit = 0; bit < size * 8; ++bit) {
            page[bit / 8] ^= std::byte{1} << (bit % 8);
            CHECK(page_checksum(page, 3) != sum);
            page[bit / 8] ^= std::byte{1} << (bit % 8);
        }
    }
}

TEST_CASE("a page of host memory that changed is not given out") {
    HostPages pages(page_bytes, 2);
    for (unsigned i : {0U, 1U}) {
        const auto page = page_of(i);
        std::copy(page.begin(), page.end(), pages.open(i).begin());
        pages.seal(i);
    }
    REQUIRE(pages.read(1).size() == page_bytes);
    CHECK(std::equal(pages.read(1).begin(), pages.read(1).end(), page_of(1).begin()));
    pages.open(1)[17] ^= std::byte{4};
    CHECK(pages.read(1).empty());
    CHECK(pages.read(0).size() == page_bytes);
    CHECK(pages.has(1));
    CHECK_FALSE(pages.has(2));
    CHECK_FALSE(HostPages().has(0));
}
