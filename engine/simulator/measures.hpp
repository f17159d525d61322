// What a simulation counts while it runs, in bounded memory.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/ids.hpp"

namespace troupe {

// Durations in buckets that grow by 0.5 %: percentiles within a quarter of a percent.
class DurationHistogram {
  public:
    void add(double us);
    std::uint64_t count() const { return count_; }
    double mean_us() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }
    double percentile_us(double percent) const;
    const std::vector<std::uint64_t>& buckets() const { return buckets_; }
    static double bucket_us(std::size_t bucket);  // its middle

  private:
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    double sum_ = 0;
};

// Means over equal spans of time. The spans double whenever there are too many.
class Timeline {
  public:
    enum Value : std::size_t { running, waiting, kv_used, tokens, prompt_tokens, busy_us, num_values };
    using Values = std::array<double, num_values>;

    // The state of all replicas from `from` to `to`: running and waiting sequences, share of KV in use.
    void add_state(TimeUs from, TimeUs to, double num_running, double num_waiting, double kv_share);
    // What happened at `when`.
    void add_amount(TimeUs when, Value value, double amount);

    TimeUs span_us() const { return span_; }
    // Of each span: sums over time (us) of the states, sums of the amounts.
    const std::vector<Values>& spans() const { return spans_; }

  private:
    static constexpr std::size_t most = 400;
    Values& at(TimeUs when);

    TimeUs span_ = 10'000;
    std::vector<Values> spans_;
};

}  // namespace troupe
