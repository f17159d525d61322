#include "net/http_exchange.hpp"

#include <charconv>

namespace troupe::net {

std::string HttpExchange::head(int status, std::string_view content_type) const {
    std::string out = "HTTP/1.1 " + std::to_string(status) + " ";
    out.append(reason_phrase(status)).append("\r\nContent-Type: ").append(content_type);
    out.append("\r\nX-Request-Id: ").append(request_.request_id);
    out.append(wire_.keep_alive ? "\r\nConnection: keep-alive\r\n" : "\r\nConnection: close\r\n");
    out += request_.answer_headers;
    return out;
}

void HttpExchange::serve(std::shared_ptr<Producer> producer, Delivery delivery) {
    if (ended_) return;
    producer_ = std::move(producer);
    delivery_ = delivery;
}

void HttpExchange::reply(HttpReply reply) {
    if (ended_ || status_ != 0) return;
    status_ = reply.status;
    framed_ = head(reply.status, reply.content_type);
    for (const auto& [name, value] : reply.headers)
        framed_.append(name).append(": ").append(value).append("\r\n");
    framed_.append("Content-Length: ").append(std::to_string(reply.body.size())).append("\r\n\r\n");
    if (request_.method != "HEAD") framed_ += reply.body;
    end();
}

void HttpExchange::open_stream() {
    if (status_ != 0) return;
    status_ = 200;
    if (!wire_.http_1_1) wire_.keep_alive = false;  // the end of the connection is the end of the stream
    framed_ = head(status_, "text/event-stream; charset=utf-8");
    framed_ += "Cache-Control: no-cache\r\nX-Accel-Buffering: no\r\n";
    framed_ += wire_.http_1_1 ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n";
}

void HttpExchange::send_event(std::string_view json) {
    if (ended_) return;
    open_stream();
    events_.append("data: ").append(json).append("\n\n");
}

void HttpExchange::finish_events() {
    if (ended_) return;
    send_event("[DONE]");
    end();
}

void HttpExchange::fail(const Error& error) {
    if (ended_) return;
    if (status_ == 0) return reply(error_reply(error));
    send_event(error_body(error, http_status(error)));
    finish_events();
}

void HttpExchange::keep_alive_comment() {
    if (!streams()) return;
    open_stream();
    events_ += ": keep-alive\n\n";
}

void HttpExchange::produce() {
    // The producer may end the exchange, which lets go of it.
    if (const auto producer = producer_) producer->produce();
}

void HttpExchange::client_gone() {
    if (const auto producer = std::exchange(producer_, nullptr)) producer->client_gone();
    ended_ = true;
}

void HttpExchange::give_up(const Error& error) {
    if (ended_) return;
    if (const auto producer = std::exchange(producer_, nullptr)) producer->client_gone();
    wire_.keep_alive = false;
    given_up_ = true;
    fail(error);
}

void HttpExchange::end() {
    ended_ = true;
    producer_.reset();
}

std::string HttpExchange::take_output() {
    std::string out = std::exchange(framed_, {});
    if (delivery_ == Delivery::whole || status_ == 0) return out;
    if (!wire_.http_1_1) return out += std::exchange(events_, {});
    if (!events_.empty()) {
        char size[16];
        const auto end = std::to_chars(size, size + sizeof size, events_.size(), 16).ptr;
        out.append(size, end).append("\r\n").append(std::exchange(events_, {})).append("\r\n");
        last_chunk_due_ = true;
    }
    if (ended_ && std::exchange(last_chunk_due_, false)) out += "0\r\n\r\n";
    return out;
}

}  // namespace troupe::net
