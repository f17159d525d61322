// Counters and histograms that the actors fill and the client port hands out. Thread-safe.
#pragma once
#include <mutex>
#include <string>

#include "actors/client_port.hpp"

namespace troupe {

// Histograms of times are in seconds.
constexpr double seconds(TimeUs us) { return static_cast<double>(us) * 1e-6; }

class Metrics {
  public:
    Metrics();  // every metric of the API exists from the start, at zero

    void set(const std::string& gauge, double value);
    void count(const std::string& counter, double by = 1);
    void finished(const std::string& reason);
    void swapped(const std::string& direction, double blocks);
    void observe(const std::string& histogram, double value);
    MetricsSnapshot snapshot() const;

  private:
    mutable std::mutex mutex_;
    MetricsSnapshot values_;
};

}  // namespace troupe
