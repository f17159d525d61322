// Where the line of each request goes: --access-log.
#pragma once
#include <memory>

#include "conf/config.hpp"
#include "core/status.hpp"
#include "net/request_log.hpp"

namespace troupe {

// Thread-safe.
class AccessLog {
  public:
    // Opens the file, if it is one.
    static Result<AccessLog> open(const LogConfig& config);

    // Of any lifetime: it shares the file.
    net::LogSink sink() const { return sink_; }

    // The file anew, by its name: what logrotate has moved away is written no more. An error leaves the old
    // one.
    Status reopen();
    bool is_file() const { return file_ != nullptr; }

  private:
    struct File;
    std::shared_ptr<File> file_;  // null: there is none
    net::LogSink sink_;
};

}  // namespace troupe
