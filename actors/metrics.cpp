#include "actors/metrics.hpp"

#include <algorithm>

namespace troupe {

namespace {

// Seconds; vLLM's bounds, so that its dashboards show the same buckets.
const std::vector<double> first_token_bounds{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
                                             0.75,  1,     2.5,  5,    7.5,  10,   20,   40,  80,   160};
const std::vector<double> inter_token_bounds{0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                             0.3,    0.4,   0.5,  0.75,  1,    2.5,   5,   7.5,  10};
const std::vector<double> request_bounds{0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,  15,
                                         20,  30,  40,  50, 60,  120, 240, 480, 960, 1920};
const std::vector<double> iteration_bounds{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};

}  // namespace

Metrics::Metrics() {
    for (const auto* name :
         {"num_requests_running", "num_requests_waiting", "num_texts_waiting", "kv_cache_usage_perc",
          "prefix_cache_blocks", "swap_host_usage_perc", "swap_disk_usage_perc"})
        values_.gauges[name] = 0;
    for (const auto* name : {"prompt_tokens_total", "generation_tokens_total", "num_preemptions_total",
                             "worker_restarts_total", "requests_recovered_total", "requests_refused_total",
                             "texts_refused_total", "policy_decisions_rejected_total", "requests_shed_total",
                             "prefix_cache_queries_total", "prefix_cache_hits_total"})
        values_.counters[name] = 0;
    for (const auto* direction : {"out", "in", "spilled", "failed"}) values_.swapped_blocks[direction] = 0;
    for (const auto* reason : {"stop", "length", "cancelled", "steered", "failed"})
        values_.request_success[reason] = 0;
    auto add = [&](const char* name, const std::vector<double>& bounds) {
        values_.histograms[name] = {bounds, std::vector<std::uint64_t>(bounds.size() + 1), 0};
    };
    add("time_to_first_token_seconds", first_token_bounds);
    add("inter_token_latency_seconds", inter_token_bounds);
    add("e2e_request_latency_seconds", request_bounds);
    add("request_queue_time_seconds", request_bounds);
    add("request_prefill_time_seconds", request_bounds);
    add("request_decode_time_seconds", request_bounds);
    add("iteration_tokens_total", iteration_bounds);
    add("worker_idle_seconds", {0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01, 0.1});
}

void Metrics::set(const std::string& gauge, double value) {
    std::lock_guard lock(mutex_);
    values_.gauges[gauge] = value;
}

void Metrics::count(const std::string& counter, double by) {
    std::lock_guard lock(mutex_);
    values_.counters[counter] += by;
}

void Metrics::finished(const std::string& reason) {
    std::lock_guard lock(mutex_);
    values_.request_success[reason] += 1;
}

void Metrics::swapped(const std::string& direction, double blocks) {
    std::lock_guard lock(mutex_);
    values_.swapped_blocks[direction] += blocks;
}

void Metrics::observe(const std::string& histogram, double value) {
    std::lock_guard lock(mutex_);
    auto& h = values_.histograms.at(histogram);
    auto bucket = std::lower_bound(h.bounds.begin(), h.bounds.end(), value) - h.bounds.begin();
    ++h.counts[static_cast<std::size_t>(bucket)];
    h.sum += value;
}

MetricsSnapshot Metrics::snapshot() const {
    std::lock_guard lock(mutex_);
    return values_;
}

}  // namespace troupe
