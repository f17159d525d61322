// GET /metrics: the system's counts in Prometheus' text format, named as vLLM names them, under our prefix.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "net/api.hpp"

namespace troupe::net {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const std::string& name, MetricType type) {
    MetricFamily result;
    result.name = "troupe:" + name;
    result.help = name;
    result.type = type;
    return result;
}

ClientMetric histogram_of(const Histogram& histogram) {
    ClientMetric metric;
    for (std::size_t i = 0; i < histogram.counts.size(); ++i) {
        metric.histogram.sample_count += histogram.counts[i];
        const double bound =
            i < histogram.bounds.size() ? histogram.bounds[i] : std::numeric_limits<double>::infinity();
        metric.histogram.bucket.push_back({metric.histogram.sample_count, bound});
    }
    metric.histogram.sample_sum = histogram.sum;
    return metric;
}

std::vector<MetricFamily> families_of(const MetricsSnapshot& snapshot) {
    std::vector<MetricFamily> families;
    const auto add = [&](const std::string& name, MetricType type, ClientMetric metric) {
        families.push_back(family(name, type));
        families.back().metric.push_back(std::move(metric));
    };
    for (const auto& [name, value] : snapshot.gauges) {
        ClientMetric metric;
        metric.gauge.value = value;
        add(name, MetricType::Gauge, std::move(metric));
    }
    for (const auto& [name, value] : snapshot.counters) {
        ClientMetric metric;
        metric.counter.value = value;
        add(name, MetricType::Counter, std::move(metric));
    }
    MetricFamily successes = family("request_success_total", MetricType::Counter);
    for (const auto& [reason, value] : snapshot.request_success) {
        ClientMetric metric;
        metric.label.push_back({"finished_reason", reason});
        metric.counter.value = value;
        successes.metric.push_back(std::move(metric));
    }
    if (!successes.metric.empty()) families.push_back(std::move(successes));
    for (const auto& [name, histogram] : snapshot.histograms) {
        add(name, MetricType::Histogram, histogram_of(histogram));
    }
    return families;
}

}  // namespace

void get_metrics(Api& api, const std::shared_ptr<Exchange>& exchange) {
    MetricsSnapshot snapshot = api.port.metrics();
    snapshot.gauges["open_connections"] = static_cast<double>(api.open_connections());
    auto families = families_of(snapshot);
    const auto models = api.port.models();
    for (MetricFamily& one : families) {
        for (ClientMetric& metric : one.metric) {
            metric.label.push_back({"model_name", models.empty() ? std::string() : models.front().id});
        }
    }
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    HttpReply reply;
    reply.body = text.str();
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    exchange->reply(std::move(reply));
}

}  // namespace troupe::net
