#include "apps/fairness.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace troupe {
namespace {

constexpr std::size_t num_spans = 100;
constexpr double output_weight = 2;
constexpr std::size_t most_tenants = 256;  // whose pairs are compared

double computed_prompt(const WorkloadRequest& asked, const RequestOutcome& request) {
    return asked.prompt_tokens - std::min(request.cached_tokens, asked.prompt_tokens);
}

struct Span {
    double service = 0;
    bool waits = false;  // from its begin to its end there is a request without a token
};
using Spans = std::vector<Span>;

class Accounts {
  public:
    explicit Accounts(TimeUs begin, TimeUs duration) : begin_(begin), length_(duration / num_spans + 1) {}

    void add(const WorkloadRequest& asked, const RequestOutcome& request) {
        Spans& spans = tenants_[asked.tenant];
        spans.resize(num_spans);
        spans[span_of(request.first_token)].service += computed_prompt(asked, request);
        const std::size_t first = span_of(request.first_token), last = span_of(request.last_token);
        const auto share = output_weight * request.output_tokens / static_cast<double>(last - first + 1);
        for (std::size_t i = first; i <= last; ++i) spans[i].service += share;
        for (std::size_t i = span_of(request.arrival) + 1; i < first; ++i) spans[i].waits = true;
    }

    std::optional<double> mean_index() const {
        double sum = 0, counted = 0;
        for (std::size_t i = 0; i < num_spans; ++i) {
            double n = 0, all = 0, squares = 0;
            for (const auto& [tenant, spans] : tenants_) {
                if (!spans[i].waits) continue;
                n += 1;
                all += spans[i].service;
                squares += spans[i].service * spans[i].service;
            }
            if (n < 2 || squares <= 0) continue;
            sum += all * all / (n * squares);
            counted += 1;
        }
        if (counted == 0) return std::nullopt;
        return sum / counted;
    }

  private:
    std::size_t span_of(TimeUs when) const {
        return std::min(num_spans - 1,
                        static_cast<std::size_t>(std::max<TimeUs>(0, when - begin_) / length_));
    }

    TimeUs begin_, length_;
    std::map<std::uint32_t, Spans> tenants_;
};

// Something that changes at a tenant.
struct Moment {
    TimeUs when = 0;
    std::size_t tenant = 0;
    int waiting = 0;     // requests more
    double service = 0;  // at once
    double rate = 0;     // of service for each microsecond from now on, more

    bool operator<(const Moment& other) const {
        // Who has another request at the very moment that one is admitted goes on waiting.
        return when != other.when ? when < other.when : waiting > other.waiting;
    }
};

void append_moments(std::vector<Moment>& moments, std::size_t tenant, const WorkloadRequest& asked,
                    const RequestOutcome& request) {
    moments.push_back({request.arrival, tenant, 1, 0, 0});
    moments.push_back(
        {std::max(request.arrival, request.admitted), tenant, -1, computed_prompt(asked, request), 0});
    const double later = output_weight * (request.output_tokens - 1.0);
    const TimeUs length = request.last_token - request.first_token;
    moments.push_back({request.first_token, tenant, 0, output_weight + (length > 0 ? 0 : later), 0});
    if (length <= 0) return;
    const double rate = later / static_cast<double>(length);
    moments.push_back({request.first_token, tenant, 0, 0, rate});
    moments.push_back({request.last_token, tenant, 0, 0, -rate});
}

// Goes through the moments in their order. The difference between two tenants' services is a straight line
// between the moments of the two, so it is looked at only there.
class Leads {
  public:
    explicit Leads(std::size_t num_tenants)
        : tenants_(num_tenants), pairs_(num_tenants, std::vector<Pair>(num_tenants)) {}

    void pass(const Moment& moment) {
        Tenant& tenant = tenants_[moment.tenant];
        look(moment.tenant, moment.when);
        tenant.service = tenant.at(moment.when) + moment.service;
        tenant.since = moment.when;
        tenant.rate += moment.rate;
        look(moment.tenant, moment.when);
        tenant.waiting += moment.waiting;
        if (moment.waiting != 0) look(moment.tenant, moment.when);
    }
    std::optional<double> largest() const { return largest_; }

  private:
    struct Tenant {
        int waiting = 0;
        double service = 0, rate = 0;  // when it changed last
        TimeUs since = 0;
        double at(TimeUs now) const { return service + rate * static_cast<double>(now - since); }
    };
    struct Pair {
        bool both_wait = false;
        double least = 0, most = 0;  // of the difference, since both wait
    };

    void look(std::size_t one, TimeUs now) {
        for (std::size_t other = 0; other < tenants_.size(); ++other) {
            if (other == one) continue;
            const std::size_t a = std::min(one, other), b = std::max(one, other);
            Pair& pair = pairs_[a][b];
            const bool did = pair.both_wait;
            pair.both_wait = tenants_[a].waiting > 0 && tenants_[b].waiting > 0;
            if (!pair.both_wait) continue;
            const double difference = tenants_[a].at(now) - tenants_[b].at(now);
            pair.least = did ? std::min(pair.least, difference) : difference;
            pair.most = did ? std::max(pair.most, difference) : difference;
            largest_ = std::max(largest_.value_or(0), pair.most - pair.least);
        }
    }

    std::vector<Tenant> tenants_;
    std::vector<std::vector<Pair>> pairs_;  // [a][b] with a < b
    std::optional<double> largest_;
};

}  // namespace

std::optional<double> largest_service_lead(const Workload& workload, const SimulationResult& result) {
    std::map<std::uint32_t, std::size_t> tenants;
    std::vector<Moment> moments;
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
        if (!result.requests[i].served) continue;
        const WorkloadRequest& asked = workload.requests[i];
        const std::size_t tenant = tenants.try_emplace(asked.tenant, tenants.size()).first->second;
        append_moments(moments, tenant, asked, result.requests[i]);
    }
    if (tenants.size() < 2 || tenants.size() > most_tenants) return std::nullopt;
    std::stable_sort(moments.begin(), moments.end());
    Leads leads(tenants.size());
    for (const Moment& moment : moments) leads.pass(moment);
    return leads.largest();
}

std::optional<double> service_fairness(const Workload& workload, const SimulationResult& result) {
    if (workload.requests.empty()) return std::nullopt;
    Accounts accounts(workload.requests.front().arrival, result.duration);
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
        const WorkloadRequest& asked = workload.requests[i];
        if (result.requests[i].served) accounts.add(asked, result.requests[i]);
    }
    return accounts.mean_index();
}

}  // namespace troupe
