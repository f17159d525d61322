// The bytes of one HTTP answer: whole, or a chunked event stream. No sockets: the session takes the bytes
// when it can send them. Lives on the connection's strand.
#pragma once
#include "net/exchange.hpp"

namespace troupe::net {

class HttpExchange final : public Exchange {
  public:
    struct Wire {
        bool keep_alive = false;  // what the client offers
        bool http_1_1 = true;     // chunks are known
    };
    HttpExchange(HttpRequest request, Wire wire, Post post, std::function<void()> wake)
        : Exchange(std::move(request)), wire_(wire), post_(std::move(post)), wake_(std::move(wake)) {}

    Post post() override { return post_; }
    std::function<void()> wake() override { return wake_; }
    void serve(std::shared_ptr<Producer> producer, Delivery delivery) override;
    void reply(HttpReply reply) override;
    void send_event(std::string_view json) override;
    void finish_events() override;
    void fail(const Error& error) override;

    // For the session.
    void produce();      // lets the producer write what it has
    void client_gone();  // ends it
    // Ends it too, and tells the client why, which may still be there to read.
    void give_up(const Error& error);
    void keep_alive_comment();
    // Work goes on that a client gone, even if it may still read, would end.
    bool cancellable() const { return producer_ != nullptr && !producer_->is_quick(); }
    bool streams() const { return delivery_ == Delivery::events && !ended_; }
    std::string take_output();  // bytes for the socket, framed
    bool given_up() const { return given_up_; }
    bool ended() const { return ended_; }
    bool keep_alive() const { return wire_.keep_alive; }
    void close_after() { wire_.keep_alive = false; }
    int status() const { return status_; }
    std::uint64_t prompt_tokens() const { return prompt_tokens_; }
    std::uint64_t completion_tokens() const { return completion_tokens_; }

  private:
    std::string head(int status, std::string_view content_type) const;
    void open_stream();
    void end();

    Wire wire_;
    const Post post_;
    const std::function<void()> wake_;
    std::shared_ptr<Producer> producer_;
    Delivery delivery_ = Delivery::whole;
    int status_ = 0;      // 0: no status line yet
    bool ended_ = false;  // nothing more will come
    bool given_up_ = false;
    std::string framed_;           // ready for the socket
    std::string events_;           // of the stream, to be framed as one chunk
    bool last_chunk_due_ = false;  // the stream has begun and its end has not been sent
};

}  // namespace troupe::net
