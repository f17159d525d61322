// What /metrics says of the HTTP side, and the help text of every metric.
#pragma once
#include <prometheus/metric_family.h>

#include <string>
#include <vector>

#include "net/http_stats.hpp"

namespace troupe::net {

// Without model_name: no request has a model before it is read.
std::vector<prometheus::MetricFamily> http_families(const HttpCounts& counts);

// Of a metric's name without its prefix; the name itself if nobody has described it.
std::string metric_help(const std::string& name);

}  // namespace troupe::net
