// TLS of the listener, by OpenSSL: the only unit that sees Asio's SSL headers is tls.cpp.
#pragma once
#include <memory>
#include <string>

#include "core/status.hpp"

namespace troupe::net {

// A server's certificate and key, and what it demands of clients (TLS 1.2 at least). Connections keep the one
// that they began with.
struct TlsContext;
using TlsContextPtr = std::shared_ptr<TlsContext>;

// PEM files: the certificate with its chain behind it, and its key, not encrypted; `key_file` may be empty if
// the first file holds the key too. Errors name the flag and the file.
Result<TlsContextPtr> load_tls(const std::string& certificate_file, const std::string& key_file);

}  // namespace troupe::net
