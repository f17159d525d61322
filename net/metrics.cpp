// GET /metrics: the system's counts in Prometheus' text format, named as vLLM names them, under our prefix.
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <map>
#include <sstream>

#include "net/api.hpp"
#include "net/http_metrics.hpp"

namespace troupe::net {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(const std::string& name, MetricType type) {
    MetricFamily result;
    result.name = "troupe:" + name;
    result.help = metric_help(name);
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

// Families by name, each with the samples of all models.
class Families {
  public:
    void add(const std::string& name, MetricType type, ClientMetric metric) {
        const auto found = families_.try_emplace(name, family(name, type)).first;
        found->second.metric.push_back(std::move(metric));
    }

    void add_gauge(const std::string& name, double value, const std::string& model = {}) {
        ClientMetric metric = labelled(model);
        metric.gauge.value = value;
        add(name, MetricType::Gauge, std::move(metric));
    }

    void add_model(const std::string& model, const MetricsSnapshot& snapshot) {
        for (const auto& [name, value] : snapshot.gauges) add_gauge(name, value, model);
        for (const auto& [name, value] : snapshot.counters) {
            ClientMetric metric = labelled(model);
            metric.counter.value = value;
            add(name, MetricType::Counter, std::move(metric));
        }
        for (const auto& [reason, value] : snapshot.request_success) {
            ClientMetric metric;
            metric.label.push_back({"finished_reason", reason});
            metric.label.push_back({"model_name", model});
            metric.counter.value = value;
            add("request_success_total", MetricType::Counter, std::move(metric));
        }
        for (const auto& [direction, value] : snapshot.swapped_blocks) {
            ClientMetric metric;
            metric.label.push_back({"direction", direction});
            metric.label.push_back({"model_name", model});
            metric.counter.value = value;
            add("swapped_blocks_total", MetricType::Counter, std::move(metric));
        }
        for (const auto& [name, histogram] : snapshot.histograms) {
            ClientMetric metric = histogram_of(histogram);
            metric.label.push_back({"model_name", model});
            add(name, MetricType::Histogram, std::move(metric));
        }
    }

    std::vector<MetricFamily> take() {
        std::vector<MetricFamily> all;
        for (auto& [name, one] : families_) all.push_back(std::move(one));
        return all;
    }

  private:
    static ClientMetric labelled(const std::string& model) {
        ClientMetric metric;
        if (!model.empty()) metric.label.push_back({"model_name", model});
        return metric;
    }

    std::map<std::string, MetricFamily> families_;
};

}  // namespace

void get_metrics(Api& api, const std::shared_ptr<Exchange>& exchange) {
    Families families;
    const ServerMetrics metrics = api.port.metrics();
    families.add_gauge("open_connections", static_cast<double>(api.open_connections()));
    for (const auto& [name, value] : metrics.gauges) families.add_gauge(name, value);
    for (const auto& [model, snapshot] : metrics.models) families.add_model(model, snapshot);
    auto all = families.take();
    for (MetricFamily& one : http_families(api.stats.counts())) all.push_back(std::move(one));
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, all);
    HttpReply reply;
    reply.body = text.str();
    reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
    exchange->reply(std::move(reply));
}

}  // namespace troupe::net
