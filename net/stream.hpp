// The bytes of a connection: a TCP or Unix socket, plain or inside TLS. One type for all of them, so that
// HTTP and WebSocket are compiled once; it models Asio's AsyncStream. Operations belong to the strand that
// the socket was made with, at most one read and one write at a time.
#pragma once
#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>
#include <memory>
#include <utility>

#include "net/tls.hpp"

namespace troupe::net {

using Socket = boost::asio::generic::stream_protocol::socket;

// What to call when an operation has ended; moved, never copied.
class IoHandler {
  public:
    template <class F>
    explicit IoHandler(F call) : holder_(std::make_unique<Holder<F>>(std::move(call))) {}
    void operator()(boost::beast::error_code error, std::size_t bytes) {
        const auto holder = std::move(holder_);  // what it calls may begin the next operation
        holder->call(error, bytes);
    }

  private:
    struct Base {
        virtual ~Base() = default;
        virtual void call(boost::beast::error_code error, std::size_t bytes) = 0;
    };
    template <class F>
    struct Holder final : Base {
        explicit Holder(F f) : f_(std::move(f)) {}
        void call(boost::beast::error_code error, std::size_t bytes) override { f_(error, bytes); }
        F f_;
    };
    std::unique_ptr<Base> holder_;
};

// The first few buffers of a sequence; write_some may take less than everything anyhow.
class WriteBuffers {
  public:
    using value_type = boost::asio::const_buffer;

    template <class Sequence>
    explicit WriteBuffers(const Sequence& sequence) {
        const auto end = boost::asio::buffer_sequence_end(sequence);
        for (auto next = boost::asio::buffer_sequence_begin(sequence); next != end && size_ < kMost; ++next) {
            const boost::asio::const_buffer buffer(*next);
            if (buffer.size() > 0) buffers_[size_++] = buffer;
        }
    }
    const value_type* begin() const { return buffers_.data(); }
    const value_type* end() const { return buffers_.data() + size_; }

  private:
    static constexpr std::size_t kMost = 8;
    std::array<value_type, kMost> buffers_;
    std::size_t size_ = 0;
};

// What Stream stands on: stream.cpp has the plain one, tls.cpp the other.
class Transport {
  public:
    virtual ~Transport() = default;
    virtual boost::asio::any_io_executor executor() = 0;
    // Before the first read or write; for a plain socket there is nothing to do.
    virtual void handshake(IoHandler done) = 0;
    virtual void read_some(boost::asio::mutable_buffer into, IoHandler done) = 0;
    virtual void write_some(const WriteBuffers& from, IoHandler done) = 0;
    virtual void cancel() = 0;         // what is outstanding ends with operation_aborted
    virtual void shutdown_send() = 0;  // the peer reads an end; nothing may be written after it
    virtual void close() = 0;
};

std::unique_ptr<Transport> tls_transport(Socket socket, TlsContextPtr context);

class Stream {
  public:
    using executor_type = boost::asio::any_io_executor;

    // Without a context it is plain, otherwise the server's side of TLS.
    Stream(Socket socket, TlsContextPtr context);

    executor_type get_executor() noexcept { return transport_->executor(); }

    template <class Token>
    auto async_handshake(Token&& token) {
        return boost::asio::async_initiate<Token, Signature>(
            [this](auto&& handler) { transport_->handshake(erased(handler)); }, token);
    }
    template <class Buffers, class Token>
    auto async_read_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, Signature>(
            [this](auto&& handler, boost::asio::mutable_buffer into) {
                transport_->read_some(into, erased(handler));
            },
            token, first_of(buffers));
    }
    template <class Buffers, class Token>
    auto async_write_some(const Buffers& buffers, Token&& token) {
        return boost::asio::async_initiate<Token, Signature>(
            [this](auto&& handler, const WriteBuffers& from) {
                transport_->write_some(from, erased(handler));
            },
            token, WriteBuffers(buffers));
    }

    void cancel() { transport_->cancel(); }
    void shutdown_send() { transport_->shutdown_send(); }
    void close() { transport_->close(); }

    // Says the end and reads on until the peer has said it too, so that it gets all that was sent. The caller
    // sees to it that this takes no more than its time.
    void finish(IoHandler done);

  private:
    using Signature = void(boost::beast::error_code, std::size_t);

    template <class Handler>
    static IoHandler erased(Handler& handler) {
        return IoHandler(std::move(handler));
    }
    template <class Buffers>
    static boost::asio::mutable_buffer first_of(const Buffers& buffers) {
        const auto end = boost::asio::buffer_sequence_end(buffers);
        for (auto next = boost::asio::buffer_sequence_begin(buffers); next != end; ++next) {
            const boost::asio::mutable_buffer buffer(*next);
            if (buffer.size() > 0) return buffer;
        }
        return {};
    }

    std::unique_ptr<Transport> transport_;
};

// What Beast's WebSocket asks of a stream, found by argument-dependent lookup.
inline void beast_close_socket(Stream& stream) { stream.close(); }
inline void teardown(boost::beast::role_type, Stream& stream, boost::beast::error_code& error) {
    error = {};
    stream.close();
}
template <class Handler>
void async_teardown(boost::beast::role_type, Stream& stream, Handler&& handler) {
    stream.finish(IoHandler([done = std::forward<Handler>(handler)](boost::beast::error_code error,
                                                                    std::size_t) mutable { done(error); }));
}

}  // namespace troupe::net
