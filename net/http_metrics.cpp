#include "net/http_metrics.hpp"

#include <array>
#include <utility>

namespace troupe::net {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

MetricFamily counters(const std::string& name) {
    return {"troupe:" + name, metric_help(name), prometheus::MetricType::Counter, {}};
}

ClientMetric sample(std::vector<ClientMetric::Label> labels, std::uint64_t value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = static_cast<double>(value);
    return metric;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 34> kHelp{{
    {"num_requests_running", "Requests in the running batch"},
    {"num_requests_waiting", "Admitted requests that have not begun to run"},
    {"num_texts_waiting", "Calls of /tokenize and /detokenize that have not been answered"},
    {"kv_cache_usage_perc", "Used share of the KV cache's blocks, 0 to 1"},
    {"prefix_cache_blocks", "Unused blocks whose prefixes are remembered; they count as free"},
    {"swap_host_usage_perc", "Used share of the host memory for swapped blocks (--swap-space), 0 to 1"},
    {"swap_disk_usage_perc", "Used share of the swap file (--swap-disk-space), 0 to 1"},
    {"swapped_blocks_total",
     "KV blocks moved out of the pool, into it, or from host memory to disk, by direction"},
    {"responses_retained", "Stored responses that have finished and can still be read"},
    {"responses_retained_bytes", "Memory of the retained responses"},
    {"open_connections", "Open HTTP and WebSocket connections"},
    {"prompt_tokens_total", "Prompt tokens of finished prefills"},
    {"generation_tokens_total", "Generated tokens"},
    {"num_preemptions_total", "Sequences that gave their KV blocks back and are computed again"},
    {"worker_restarts_total", "Workers that were started again after they had died"},
    {"requests_recovered_total", "Requests that went on after their worker had died"},
    {"requests_refused_total", "Requests refused by admission: queue full, draining, no worker"},
    {"requests_shed_total", "Requests that the scheduling policy refused because of their latency target"},
    {"texts_refused_total", "Calls of /tokenize and /detokenize refused because too many wait"},
    {"policy_decisions_rejected_total", "Decisions of the scheduling policy that broke a rule"},
    {"request_success_total", "Ended generations, by finished_reason"},
    {"prefix_cache_queries_total", "Tokens of requests looked up in the prefix cache"},
    {"prefix_cache_hits_total", "Tokens of requests taken from the prefix cache"},

    {"time_to_first_token_seconds", "From a request's arrival to its first token"},
    {"inter_token_latency_seconds", "Between two tokens of a request"},
    {"e2e_request_latency_seconds", "From a request's arrival to its end"},
    {"request_queue_time_seconds", "From a request's arrival to its first step"},
    {"request_prefill_time_seconds", "From a request's first step to its first token"},
    {"request_decode_time_seconds", "From a request's first token to its last"},
    {"iteration_tokens_total", "Tokens in one step of the worker"},
    {"worker_idle_seconds", "Between two steps of the worker while there was work"},
    {"http_requests_total", "Answered HTTP requests and responses created over WebSockets, by status"},
    {"http_refusals_total", "What was refused at the HTTP side, by the limit that was reached"},
    {"http_timeouts_total", "Connections given up, by what was waited for"},
}};

}  // namespace

std::vector<MetricFamily> http_families(const HttpCounts& counts) {
    std::vector<MetricFamily> families = {counters("http_requests_total"), counters("http_refusals_total"),
                                          counters("http_timeouts_total")};
    const auto add_requests = [&](const std::map<int, std::uint64_t>& by_status, const char* transport) {
        for (const auto& [status, count] : by_status) {
            families[0].metric.push_back(
                sample({{"status", std::to_string(status)}, {"transport", transport}}, count));
        }
    };
    add_requests(counts.requests, "http");
    add_requests(counts.websocket_requests, "websocket");
    for (const auto& [limit, count] : counts.refusals)
        families[1].metric.push_back(sample({{"limit", limit}}, count));
    for (const auto& [what, count] : counts.timeouts) {
        families[2].metric.push_back(sample({{"waited_for", what}}, count));
    }
    return families;
}

std::string metric_help(const std::string& name) {
    for (const auto& [known, help] : kHelp) {
        if (known == name) return std::string(help);
    }
    return name;
}

}  // namespace troupe::net
