// A self-signed certificate for 127.0.0.1 and localhost, made for one test.
#pragma once
#include <filesystem>
#include <string>

namespace troupe::net {

// A folder that goes away with its owner.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::string file(const std::string& name) const { return (path_ / name).string(); }
    // Writes a file and returns its path.
    std::string write(const std::string& name, const std::string& text) const;

  private:
    std::filesystem::path path_;
};

struct CertificateFiles {
    std::string certificate, key;
};
// In `folder`, as NAME.pem and NAME.key.
CertificateFiles make_certificate(const TemporaryFolder& folder, const std::string& name = "server");

}  // namespace troupe::net
