#include "apps/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

namespace troupe {
namespace {

constexpr long connect_seconds = 20, silent_seconds = 30, most_redirects = 10;

// What the callbacks of one transfer share.
struct Transfer {
    CURL* curl = nullptr;
    HttpResponse response;
    HttpClient::Begin begin;
    HttpClient::Take take;
    bool begun = false;
    std::optional<Error> stopped;  // by begin or take
};

std::string_view trimmed(std::string_view text) {
    const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    return text;
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    const std::string_view line(data, size);
    if (line.starts_with("HTTP/")) transfer.response.headers.clear();  // another response of the chain
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    transfer.response.headers[name] = std::string(trimmed(line.substr(colon + 1)));
    return size;
}

// 0 ends the transfer.
std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
    auto& transfer = *static_cast<Transfer*>(user);
    curl_easy_getinfo(transfer.curl, CURLINFO_RESPONSE_CODE, &transfer.response.status);
    if (!transfer.begun) {
        transfer.begun = true;
        if (auto status = transfer.begin(transfer.response); !status) transfer.stopped = status.error();
    }
    if (!transfer.stopped && transfer.response.status < 300) {
        if (auto status = transfer.take({data, size}); !status) transfer.stopped = status.error();
    }
    return transfer.stopped ? 0 : size;
}

}  // namespace

struct HttpClient::Impl {
    CURL* curl = curl_easy_init();
    curl_slist* headers = nullptr;
    ~Impl() {
        curl_slist_free_all(headers);
        curl_easy_cleanup(curl);
    }

    void prepare(const std::string& url, Transfer& transfer, char* complaint) const {
        transfer.curl = curl;
        curl_easy_reset(curl);  // keeps connections
        curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
        const char* protocols = url.starts_with("https:") ? "https" : "http,https";
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(curl, CURLOPT_MAXREDIRS, most_redirects);
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "troupe/" TROUPE_VERSION);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, connect_seconds);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, silent_seconds);
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, complaint);
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
    }

    Result<HttpResponse> perform(Transfer& transfer, const char* complaint) const {
        const CURLcode code = curl_easy_perform(curl);
        if (transfer.stopped) return *std::move(transfer.stopped);
        if (code != CURLE_OK) {
            const std::string why = *complaint != '\0' ? complaint : curl_easy_strerror(code);
            return Error{ErrorCode::unavailable, why, {}, "connection"};
        }
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &transfer.response.status);
        if (!transfer.begun) {  // an empty body
            if (auto status = transfer.begin(transfer.response); !status) return status.error();
        }
        return std::move(transfer.response);
    }
};

HttpClient::HttpClient(std::string token) : impl_(std::make_unique<Impl>()) {
    // curl does not send it on to other hosts that a redirect names.
    if (!token.empty())
        impl_->headers = curl_slist_append(nullptr, ("Authorization: Bearer " + token).c_str());
}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::get(const std::string& url, std::size_t most) {
    std::string body;
    const auto take = [&](std::string_view bytes) -> Status {
        if (body.size() + bytes.size() > most) {
            return Error{ErrorCode::too_large,
                         url + " answers with more than " + std::to_string(most) + " bytes",
                         {},
                         {}};
        }
        body += bytes;
        return {};
    };
    auto response = download(
        url, 0, [](const HttpResponse&) { return Status(); }, take);
    if (response) response->body = std::move(body);
    return response;
}

Result<HttpResponse> HttpClient::head(const std::string& url) {
    std::string next = url;
    for (int redirects = 0;; ++redirects) {
        Transfer transfer;
        transfer.begin = [](const HttpResponse&) { return Status(); };
        std::array<char, CURL_ERROR_SIZE> complaint{};
        impl_->prepare(next, transfer, complaint.data());
        curl_easy_setopt(impl_->curl, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(impl_->curl, CURLOPT_FOLLOWLOCATION, 0L);
        auto response = impl_->perform(transfer, complaint.data());
        if (!response || response->status < 300 || response->status >= 400) return response;
        const auto& location = response->headers["location"];
        if (!location.starts_with('/') || location.starts_with("//") || redirects == most_redirects)
            return response;
        const std::size_t path = next.find('/', next.find("://") + 3);
        next = next.substr(0, path) + location;
    }
}

Result<HttpResponse> HttpClient::download(const std::string& url, std::uint64_t first, const Begin& begin,
                                          const Take& take) {
    Transfer transfer;
    transfer.begin = begin;
    transfer.take = take;
    std::array<char, CURL_ERROR_SIZE> complaint{};
    impl_->prepare(url, transfer, complaint.data());
    // Not curl's own "resume", which takes a server's whole file for an error.
    const std::string range = std::to_string(first) + "-";
    if (first != 0) curl_easy_setopt(impl_->curl, CURLOPT_RANGE, range.c_str());
    return impl_->perform(transfer, complaint.data());
}

std::string url_path(std::string_view path) {
    constexpr std::string_view digits = "0123456789ABCDEF", plain = "-_.~/";
    std::string result;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte < 128 && std::isalnum(byte) != 0) || plain.find(c) != std::string_view::npos) {
            result += c;
        } else {
            result += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return result;
}

}  // namespace troupe
