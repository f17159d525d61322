#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <spdlog/spdlog.h>

#include <array>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <string_view>

#include "net/stream.hpp"

namespace troupe::net {

namespace asio = boost::asio;
using boost::beast::error_code;

struct TlsContext {
    asio::ssl::context ssl{asio::ssl::context::tls_server};
};

namespace {

std::string openssl_reason() {
    const char* reason = nullptr;
    while (const unsigned long code = ::ERR_get_error()) reason = ::ERR_reason_error_string(code);
    return reason == nullptr ? "unknown reason" : reason;
}

// OpenSSL would ask for it on the terminal.
int no_passphrase(char*, int, int, void*) { return 0; }

// HTTP/2 is not spoken here; a client that offers only that goes on without an agreement, and finds out.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char* offered,
                    unsigned int bytes, void*) {
    static constexpr std::string_view wanted = "http/1.1";
    const std::string_view list(reinterpret_cast<const char*>(offered), bytes);
    for (std::size_t at = 0; at < list.size();) {
        const auto size = static_cast<unsigned char>(list[at]);
        if (list.substr(at + 1, size) == wanted) {
            *chosen = offered + at + 1;
            *length = size;
            return SSL_TLSEXT_ERR_OK;
        }
        at += 1U + size;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

Error bad_file(const std::string& flag, const std::string& file, const std::string& what) {
    return invalid_argument(flag + ": " + file + " " + what, flag);
}

void warn_if_expired(SSL_CTX* context, const std::string& file) {
    const X509* certificate = ::SSL_CTX_get0_certificate(context);
    if (certificate != nullptr && ::X509_cmp_current_time(::X509_get0_notAfter(certificate)) < 0) {
        spdlog::warn("the certificate in {} has expired: clients will refuse it", file);
    }
}

class TlsTransport final : public Transport {
  public:
    TlsTransport(Socket socket, TlsContextPtr context)
        : context_(std::move(context)),
          stream_(std::make_shared<asio::ssl::stream<Socket>>(std::move(socket), context_->ssl)) {}

    asio::any_io_executor executor() override { return stream_->get_executor(); }
    void handshake(IoHandler done) override {
        stream_->async_handshake(asio::ssl::stream_base::server,
                                 [done = std::move(done)](error_code error) mutable { done(error, 0); });
    }
    void read_some(asio::mutable_buffer into, IoHandler done) override {
        stream_->async_read_some(into, std::move(done));
    }
    void write_some(const WriteBuffers& from, IoHandler done) override {
        stream_->async_write_some(from, std::move(done));
    }
    void cancel() override {
        error_code ignored;
        stream_->next_layer().cancel(ignored);
    }
    // Says close_notify. It ends when the peer has said it too, or with the socket: the reader sees to both,
    // and may be gone before.
    void shutdown_send() override {
        stream_->async_shutdown([stream = stream_](error_code) {});
    }
    void close() override {
        error_code ignored;
        stream_->next_layer().close(ignored);
    }

  private:
    const TlsContextPtr context_;
    const std::shared_ptr<asio::ssl::stream<Socket>> stream_;
};

}  // namespace

Result<TlsContextPtr> load_tls(const std::string& certificate_file, const std::string& key_file) {
    constexpr const char* certificate_flag = "--ssl-certfile";
    const std::string& key_source = key_file.empty() ? certificate_file : key_file;
    const char* key_flag = key_file.empty() ? certificate_flag : "--ssl-keyfile";
    auto context = std::make_shared<TlsContext>();
    SSL_CTX* native = context->ssl.native_handle();
    ::SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
    ::SSL_CTX_set_options(native,
                          SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    ::SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
    ::SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
    ::SSL_CTX_set_default_passwd_cb(native, no_passphrase);
    ::ERR_clear_error();
    if (::SSL_CTX_use_certificate_chain_file(native, certificate_file.c_str()) != 1) {
        return bad_file(certificate_flag, certificate_file,
                        "cannot be read as a certificate in PEM form (" + openssl_reason() + ")");
    }
    if (::SSL_CTX_use_PrivateKey_file(native, key_source.c_str(), SSL_FILETYPE_PEM) != 1) {
        const std::string reason = openssl_reason();
        return bad_file(
            key_flag, key_source,
            "cannot be read as a private key in PEM form without a passphrase, for the certificate in " +
                certificate_file + " (" + reason + ")" +
                (key_file.empty() ? "; give --ssl-keyfile if the key is in a file of its own" : ""));
    }
    if (::SSL_CTX_check_private_key(native) != 1) {
        return bad_file(key_flag, key_source, "is not the key of the certificate in " + certificate_file);
    }
    warn_if_expired(native, certificate_file);
    return TlsContextPtr(std::move(context));
}

std::unique_ptr<Transport> tls_transport(Socket socket, TlsContextPtr context) {
    return std::make_unique<TlsTransport>(std::move(socket), std::move(context));
}

}  // namespace troupe::net
