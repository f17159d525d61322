#include "apps/replay.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "actors/recording.hpp"
#include "apps/commands.hpp"
#include "apps/console.hpp"

namespace troupe {
namespace {

constexpr std::uint32_t content_tokens = 16;  // that one id stands for

// Numbers blocks of content: the same number for the same tokens after the same blocks.
class ContentIds {
  public:
    void append(const std::vector<TokenId>& prompt, std::uint32_t num_tokens, Workload& workload,
                WorkloadRequest& request) {
        std::uint32_t parent = 0;
        request.first_hash = static_cast<std::uint32_t>(workload.hashes.size());
        for (std::uint32_t begin = 0; begin + content_tokens <= num_tokens; begin += content_tokens) {
            std::vector<TokenId> block(prompt.begin() + begin, prompt.begin() + begin + content_tokens);
            const auto next = static_cast<std::uint32_t>(ids_.size() + 1);
            parent = ids_.try_emplace({parent, std::move(block)}, next).first->second;
            workload.hashes.push_back(parent);
            ++request.num_hashes;
        }
    }

  private:
    std::map<std::pair<std::uint32_t, std::vector<TokenId>>, std::uint32_t> ids_;
};

struct Seen {
    RequestArrived arrival;
    std::uint32_t generated = 0;
};
using SeenSequences = std::map<SequenceId, Seen>;

// The model whose schedulers are meant: the named one, or the only one.
Result<std::string> choose_model(const Recording& recording, const std::string& path,
                                 const std::string& wanted) {
    std::set<std::string> models;
    for (const RecordedScheduler& scheduler : recording.schedulers) models.insert(scheduler.model);
    if (models.contains(wanted)) return wanted;
    if (wanted.empty() && models.size() == 1) return *models.begin();
    std::string names;
    for (const std::string& name : models) names += (names.empty() ? "" : ", ") + name;
    if (wanted.empty()) {
        return invalid_argument(
            "--trace: " + path + " is of several models: " + names + "; choose one with --trace-model",
            "--trace-model");
    }
    return invalid_argument("--trace-model: " + path + " has no model '" + wanted + "'; it is of " + names,
                            "--trace-model");
}

SeenSequences sequences_of(const Recording& recording, const std::string& model) {
    SeenSequences sequences;
    for (const RecordedScheduler& scheduler : recording.schedulers) {
        if (scheduler.model != model) continue;
        for (const RecordedEvent& one : scheduler.events) {
            if (const auto* arrived = std::get_if<RequestArrived>(&one.event)) {
                sequences.try_emplace(arrived->spec.id, Seen{*arrived, 0});  // not when it comes again
            } else if (const auto* step = std::get_if<StepCompleted>(&one.event)) {
                for (const SampledTokens& sampled : step->result.sampled) {
                    const auto found = sequences.find(sampled.id);
                    if (found != sequences.end())
                        found->second.generated += static_cast<std::uint32_t>(sampled.tokens.size());
                }
            }
        }
    }
    return sequences;
}

// Small numbers for tenants and salts, in the order of their first use.
template <class T>
std::uint32_t number_of(std::map<T, std::uint32_t>& known, const T& one) {
    return known.try_emplace(one, static_cast<std::uint32_t>(known.size())).first->second;
}

}  // namespace

int replay_file(const std::string& path) {
    const auto recording = read_recording(path);
    if (!recording) return report(recording.error());
    bool same = true;
    for (const RecordedScheduler& scheduler : recording->schedulers) {
        const ReplayResult result = replay(scheduler);
        print("model " + scheduler.model + ": " + std::to_string(result.events) + " of " +
              std::to_string(scheduler.events.size()) + " events replayed, " + std::to_string(result.plans) +
              " step plans are the same\n");
        if (!result.difference) continue;
        same = false;
        print("first difference: " + *result.difference + "\n");
    }
    if (!recording->fault.empty()) {
        report(internal_error(recording->fault));
        return exit_failure;
    }
    return same ? 0 : exit_failure;
}

Result<Workload> recorded_workload(const std::string& path, const std::string& wanted) {
    const auto recording = read_recording(path);
    if (!recording) return recording.error();
    if (recording->schedulers.empty())
        return invalid_argument("--trace: " + path + " holds no requests", "--trace");
    const auto model = choose_model(*recording, path, wanted);
    if (!model) return model.error();
    Workload workload;
    workload.hash_tokens = content_tokens;
    ContentIds contents;
    std::map<std::uint64_t, std::uint32_t> tenants;
    std::map<std::string, std::uint32_t> salts{{"", 0}};
    for (const auto& [id, seen] : sequences_of(*recording, *model)) {
        if (seen.generated == 0) continue;  // refused, or gone before its first token
        const SequenceSpec& spec = seen.arrival.spec;
        WorkloadRequest request;
        request.arrival = spec.arrival;
        request.prompt_tokens = spec.num_prompt_tokens;
        request.output_tokens =
            std::min(seen.generated, spec.stop.max_tokens);  // a step ahead may draw one more
        request.priority = spec.priority;
        request.tenant = number_of(tenants, spec.tenant);
        request.cache_salt = number_of(salts, spec.cache_salt);
        request.ttft_target = spec.ttft_target;
        request.tpot_target = spec.tpot_target;
        contents.append(spec.tokens, spec.num_prompt_tokens, workload, request);
        workload.requests.push_back(request);
    }
    if (workload.requests.empty())
        return invalid_argument("--trace: " + path + " holds no requests", "--trace");
    std::stable_sort(workload.requests.begin(), workload.requests.end(),
                     [](const auto& a, const auto& b) { return a.arrival < b.arrival; });
    const TimeUs first = workload.requests.front().arrival;
    for (WorkloadRequest& request : workload.requests) request.arrival -= first;
    return workload;
}

}  // namespace troupe
