#include "engine/simulator/measures.hpp"

#include <algorithm>
#include <cmath>

namespace troupe {
namespace {

const double growth = std::log(1.005);

}  // namespace

double DurationHistogram::bucket_us(std::size_t bucket) {
    return bucket == 0 ? 0.0 : std::exp((static_cast<double>(bucket) - 0.5) * growth);
}

void DurationHistogram::add(double us) {
    const auto bucket = us < 1 ? 0 : 1 + static_cast<std::size_t>(std::log(us) / growth);
    if (bucket >= buckets_.size()) buckets_.resize(bucket + 1, 0);
    ++buckets_[bucket];
    ++count_;
    sum_ += us;
}

double DurationHistogram::percentile_us(double percent) const {
    if (count_ == 0) return 0;
    const double place = percent / 100 * static_cast<double>(count_ - 1);
    std::uint64_t before = 0;
    for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
        before += buckets_[bucket];
        if (static_cast<double>(before) > place) return bucket_us(bucket);
    }
    return bucket_us(buckets_.size() - 1);
}

Timeline::Values& Timeline::at(TimeUs when) {
    auto place = static_cast<std::size_t>(when / span_);
    while (place >= most) {
        for (std::size_t i = 0; i < spans_.size(); ++i) {
            if (i % 2 == 0) {
                spans_[i / 2] = spans_[i];
            } else {
                for (std::size_t v = 0; v < num_values; ++v) spans_[i / 2][v] += spans_[i][v];
            }
        }
        spans_.resize((spans_.size() + 1) / 2);
        span_ *= 2;
        place = static_cast<std::size_t>(when / span_);
    }
    if (place >= spans_.size()) spans_.resize(place + 1, Values{});
    return spans_[place];
}

void Timeline::add_state(TimeUs from, TimeUs to, double num_running, double num_waiting, double kv_share) {
    if (to > from) at(to - 1);  // first, so that the spans are as long as they get
    while (from < to) {
        const TimeUs end = std::min(to, (from / span_ + 1) * span_);
        Values& values = at(from);
        const auto length = static_cast<double>(end - from);
        values[running] += num_running * length;
        values[waiting] += num_waiting * length;
        values[kv_used] += kv_share * length;
        from = end;
    }
}

void Timeline::add_amount(TimeUs when, Value value, double amount) { at(when)[value] += amount; }

}  // namespace troupe
