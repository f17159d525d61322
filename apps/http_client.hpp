// HTTP requests of the program itself, over libcurl: what a model hub needs of them.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "core/status.hpp"

namespace troupe {

struct HttpResponse {
    long status = 0;
    std::map<std::string, std::string> headers;  // of the last response of a chain; names in lower case
    std::string body;                            // at most what was asked for
};

// Blocking; for one thread. Redirects are followed, from https to https only; the token goes to the first
// host and no other. A connection that is silent for half a minute counts as broken.
class HttpClient {
  public:
    explicit HttpClient(std::string token);  // empty: none is sent
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    // An error is one of the connection, tagged "connection": any status is an answer. A body longer than
    // `most` is an error without that tag.
    Result<HttpResponse> get(const std::string& url, std::size_t most);

    // The header alone; a redirect to another host is an answer, one to another path of this host is
    // followed.
    Result<HttpResponse> head(const std::string& url);

    // The body from byte `first` on. `begin` sees status and headers before the first byte; what it or `take`
    // returns as an error ends the transfer and is the result. The body of statuses from 300 on is dropped.
    using Begin = std::function<Status(const HttpResponse&)>;
    using Take = std::function<Status(std::string_view)>;
    Result<HttpResponse> download(const std::string& url, std::uint64_t first, const Begin& begin,
                                  const Take& take);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// A path as it stands in a URL: everything but letters, digits, "-_.~" and "/" is escaped.
std::string url_path(std::string_view path);

}  // namespace troupe
