#include "apps/bench_client.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <random>

#include "apps/bench_stream.hpp"
#include "net/json_writer.hpp"

namespace troupe {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Clock = std::chrono::steady_clock;
using Resolved = asio::ip::tcp::resolver::results_type;

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void write_prompt(net::JsonWriter& json, const BenchRequest& request, const BenchPlan& plan) {
    static constexpr std::array words{"the",    "river", "light", "stone", "small", "garden",
                                      "winter", "open",  "house", "song",  "green", "paper",
                                      "night",  "walk",  "clear", "bread"};
    std::mt19937_64 random(request.seed);
    if (plan.words) {
        std::string text;
        for (std::uint32_t i = 0; i < request.input_len; ++i) {
            text += (i == 0 ? "" : " ") + std::string(words[random() % words.size()]);
        }
        json.value(text);
        return;
    }
    json.begin_array();
    for (std::uint32_t i = 0; i < request.input_len; ++i) json.value(random() % plan.vocab_size);
    json.end_array();
}

http::request<http::string_body> completion_request(const BenchTarget& target, const BenchPlan& plan,
                                                    const BenchRequest& request) {
    http::request<http::string_body> message(http::verb::post, target.prefix + "/v1/completions", 11);
    message.set(http::field::host, target.host + ":" + target.port);
    message.set(http::field::content_type, "application/json");
    message.set(http::field::connection, "close");
    if (!target.api_key.empty()) message.set(http::field::authorization, "Bearer " + target.api_key);
    net::JsonWriter json;
    json.begin_object().field("model", target.model).key("prompt");
    write_prompt(json, request, plan);
    json.field("max_tokens", request.output_len).field("temperature", 0).field("ignore_eos", true);
    json.field("stream", true).key("stream_options").begin_object().field("include_usage", true).end_object();
    message.body() = json.end_object().take();
    message.prepare_payload();
    return message;
}

// What an error reply says of itself, or its first bytes.
std::string error_message(const std::string& body) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    std::string_view text;
    if (parser.parse(body).get(root) == simdjson::SUCCESS &&
        root["error"]["message"].get(text) == simdjson::SUCCESS) {
        return std::string(text);
    }
    return body.substr(0, 200);
}

// All the runs of a plan share these; one thread, so there is nothing to lock.
class Runner {
  public:
    Runner(const BenchTarget& target, const BenchPlan& plan,
           const std::function<void(const BenchOutcome&)>& on_end)
        : target_(target), plan_(plan), on_end_(on_end) {}

    BenchRun run() {
        addresses_ = asio::ip::tcp::resolver(context_).resolve(target_.host, target_.port);
        start_ = Clock::now();
        const std::size_t clients = std::min(plan_.concurrency, plan_.requests.size());
        for (std::size_t i = 0; i < clients; ++i) {
            asio::co_spawn(context_, client(), [](const std::exception_ptr& failure) {
                if (failure) std::rethrow_exception(failure);
            });
        }
        context_.run();
        result_.duration = seconds_since(start_);
        return std::move(result_);
    }

  private:
    // Takes the next request, waits for its time, sends it, and so on until there are none left.
    asio::awaitable<void> client() {
        while (next_ < plan_.requests.size()) {
            const BenchRequest& request = plan_.requests[next_++];
            const auto due = start_ + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(request.arrival));
            if (due > Clock::now()) {
                asio::steady_timer timer(context_, due);
                co_await timer.async_wait(asio::use_awaitable);
            }
            BenchOutcome outcome;
            outcome.input_tokens = request.input_len;
            try {
                co_await exchange(request, outcome);
            } catch (const beast::system_error& failure) {
                outcome.error =
                    failure.code() == beast::error::timeout ? "timeout" : stage_of(failure, outcome);
                outcome.detail = failure.code().message();
            }
            on_end_(outcome);
            result_.outcomes.push_back(std::move(outcome));
        }
    }

    static std::string stage_of(const beast::system_error& failure, const BenchOutcome& outcome) {
        if (failure.code() == asio::error::connection_refused) return "connection refused";
        return outcome.ttft > 0 ? "stream broken" : "no answer";
    }

    asio::awaitable<void> exchange(const BenchRequest& request, BenchOutcome& outcome) {
        const auto message = completion_request(target_, plan_, request);
        const Clock::time_point sent = Clock::now();
        beast::tcp_stream stream(context_);
        stream.expires_after(plan_.timeout);
        co_await stream.async_connect(addresses_, asio::use_awaitable);
        stream.socket().set_option(asio::ip::tcp::no_delay(true));
        co_await http::async_write(stream, message, asio::use_awaitable);

        beast::flat_buffer buffer;
        http::response_parser<http::string_body> parser;
        parser.body_limit(boost::none);
        co_await http::async_read_header(stream, buffer, parser, asio::use_awaitable);
        if (parser.get().result() != http::status::ok) {
            co_await http::async_read(stream, buffer, parser, asio::use_awaitable);
            outcome.error = "HTTP " + std::to_string(parser.get().result_int());
            outcome.detail = error_message(parser.get().body());
            co_return;
        }
        co_await read_stream(stream, buffer, parser, sent, outcome);
    }

    asio::awaitable<void> read_stream(beast::tcp_stream& stream, beast::flat_buffer& buffer,
                                      http::response_parser<http::string_body>& parser,
                                      Clock::time_point sent, BenchOutcome& outcome) {
        BenchStream events;
        std::uint32_t chunks = 0;
        bool done = false;
        double last = 0;
        for (;;) {
            std::string& body = parser.get().body();
            const double now = seconds_since(sent);
            events.append(body);
            body.clear();
            while (const auto chunk = events.next()) {
                if (!chunk->error.empty() && outcome.error.empty()) {
                    outcome.error = "error in the stream";
                    outcome.detail = chunk->error;
                }
                if (chunk->has_content) {
                    if (chunks++ == 0) {
                        outcome.ttft = now;
                    } else {
                        outcome.itl.push_back(now - last);
                    }
                    last = now;
                }
                if (chunk->prompt_tokens) outcome.input_tokens = *chunk->prompt_tokens;
                if (chunk->completion_tokens) outcome.output_tokens = *chunk->completion_tokens;
                done = done || chunk->done;
            }
            if (done || parser.is_done()) break;
            co_await http::async_read_some(stream, buffer, parser, asio::use_awaitable);
        }
        outcome.latency = seconds_since(sent);
        if (outcome.output_tokens == 0) outcome.output_tokens = chunks;
        if (!done && outcome.error.empty()) outcome.error = "stream without an end";
    }

    const BenchTarget& target_;
    const BenchPlan& plan_;
    const std::function<void(const BenchOutcome&)>& on_end_;
    asio::io_context context_{1};
    Resolved addresses_;
    Clock::time_point start_;
    std::size_t next_ = 0;
    BenchRun result_;
};

}  // namespace

Result<BenchTarget> parse_target(const std::string& url) {
    constexpr std::string_view scheme = "http://";
    const Error malformed =
        invalid_argument("--url: '" + url + "' is not a server's address; write http://HOST:PORT", "--url");
    if (!url.starts_with(scheme)) return malformed;
    const std::string rest = url.substr(scheme.size());
    const std::size_t slash = rest.find('/');
    const std::string authority = rest.substr(0, slash);
    BenchTarget target;
    target.prefix = slash == std::string::npos ? "" : rest.substr(slash);
    while (target.prefix.ends_with('/')) target.prefix.pop_back();
    if (target.prefix.ends_with("/v1")) target.prefix.resize(target.prefix.size() - 3);
    const std::size_t colon = authority.find(':', authority.starts_with('[') ? authority.find(']') : 0);
    target.host = authority.substr(0, colon);
    target.port = colon == std::string::npos ? "80" : authority.substr(colon + 1);
    if (target.host.starts_with('[') && target.host.ends_with(']')) {
        target.host = target.host.substr(1, target.host.size() - 2);
    }
    if (target.host.empty() || target.port.empty()) return malformed;
    return target;
}

Result<std::string> first_model(const BenchTarget& target) {
    const std::string place = "http://" + target.host + ":" + target.port + target.prefix;
    try {
        asio::io_context context;
        beast::tcp_stream stream(context);
        stream.connect(asio::ip::tcp::resolver(context).resolve(target.host, target.port));
        http::request<http::empty_body> message(http::verb::get, target.prefix + "/v1/models", 11);
        message.set(http::field::host, target.host + ":" + target.port);
        if (!target.api_key.empty()) message.set(http::field::authorization, "Bearer " + target.api_key);
        http::write(stream, message);
        beast::flat_buffer buffer;
        http::response<http::string_body> reply;
        http::read(stream, buffer, reply);
        if (reply.result() != http::status::ok) {
            return internal_error(place + "/v1/models answers HTTP " + std::to_string(reply.result_int()) +
                                  ": " + error_message(reply.body()));
        }
        simdjson::dom::parser parser;
        std::string_view id;
        if (parser.parse(reply.body()).at_pointer("/data/0/id").get(id) != simdjson::SUCCESS) {
            return internal_error(place + "/v1/models lists no model; name one with --model");
        }
        return std::string(id);
    } catch (const beast::system_error& failure) {
        return internal_error("no server answers at " + place + ": " + failure.code().message());
    }
}

BenchRun run_bench(const BenchTarget& target, const BenchPlan& plan,
                   const std::function<void(const BenchOutcome&)>& on_end) {
    return Runner(target, plan, on_end).run();
}

}  // namespace troupe
