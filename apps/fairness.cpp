#include "apps/fairness.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace troupe {
namespace {

constexpr std::size_t num_spans = 100;
constexpr double output_weight = 2;

struct Span {
    double service = 0;
    bool waits = false;  // from its begin to its end there is a request without a token
};
using Spans = std::vector<Span>;

class Accounts {
  public:
    explicit Accounts(TimeUs begin, TimeUs duration) : begin_(begin), length_(duration / num_spans + 1) {}

    void add(std::uint32_t tenant, std::uint32_t prompt_tokens, const RequestOutcome& request) {
        Spans& spans = tenants_[tenant];
        spans.resize(num_spans);
        spans[span_of(request.first_token)].service += prompt_tokens;
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

}  // namespace

std::optional<double> service_fairness(const Workload& workload, const SimulationResult& result) {
    if (workload.requests.empty()) return std::nullopt;
    Accounts accounts(workload.requests.front().arrival, result.duration);
    for (std::size_t i = 0; i < result.requests.size(); ++i) {
        const WorkloadRequest& asked = workload.requests[i];
        if (result.requests[i].served) accounts.add(asked.tenant, asked.prompt_tokens, result.requests[i]);
    }
    return accounts.mean_index();
}

}  // namespace troupe
