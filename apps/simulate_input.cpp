#include "apps/simulate_input.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "apps/device_costs.hpp"
#include "apps/model_shape.hpp"
#include "apps/policy_choice.hpp"
#include "apps/quantity.hpp"
#include "apps/trace_file.hpp"
#include "conf/device_file.hpp"
#include "engine/device_numbers.hpp"

namespace troupe {
namespace {

constexpr double memory_share = 0.9;  // of a device, for weights and KV; the rest is for activations

std::string number(double value) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.6g", value);
    return text.data();
}

class SimulationReader {
  public:
    explicit SimulationReader(const SimulateFlags& flags) : flags_(flags) {}

    Result<SimulationSetup> read() {
        read_device();
        read_model();
        read_scheduler();
        read_policies();
        read_workload();
        if (!status_) return status_.error();
        setup_.facts.insert(setup_.facts.begin(),
                            {"requests", std::to_string(setup_.workload.requests.size())});
        fact("requests_per_second", number(mean_rate(setup_.workload)));
        return std::move(setup_);
    }

  private:
    void fail(Error error) {
        if (status_) status_ = std::move(error);
    }
    void fact(const std::string& name, const std::string& value) { setup_.facts.emplace_back(name, value); }

    template <class T>
    bool take(Result<T> result, T& place) {
        if (!result) {
            fail(result.error());
            return false;
        }
        place = *std::move(result);
        return true;
    }

    // A name, or a file, which may hold measured costs.
    void read_device() {
        if (const auto known = find_device(flags_.device, is_eight_bit(flags_.weight_dtype))) {
            numbers_ = *known;
        } else if (std::error_code error; std::filesystem::exists(flags_.device, error)) {
            if (!take(read_device_file(flags_.device), file_)) return;
            numbers_ = {file_.name.empty() ? flags_.device : file_.name,
                        file_.memory_bytes,
                        file_.bandwidth,
                        file_.flops,
                        file_.link_bandwidth,
                        file_.watts,
                        file_.host_bandwidth,
                        file_.disk_bandwidth};
            ServerOverheads& overheads = setup_.options.overheads;
            overheads = {file_.request_us, file_.request_us_per_token, file_.emit_us, file_.gap_us};
        } else {
            return fail(invalid_argument("--device: '" + flags_.device +
                                             "' is neither a file of `troupe calibrate` nor known; "
                                             "known are " +
                                             device_names(),
                                         "--device"));
        }
        fact("device", numbers_.name);
    }

    void read_parallelism() {
        std::uint32_t gpus = flags_.gpus;
        const std::uint32_t tensor = flags_.tensor, pipeline = std::max(flags_.pipeline, 1U);
        if (gpus == 0) gpus = std::max(tensor, 1U) * pipeline;
        parallel_ = {tensor > 0 ? tensor : gpus / pipeline, pipeline};
        if (parallel_.tensor > 0 && flags_.pipeline == 0 && gpus % parallel_.tensor == 0)
            parallel_.pipeline = gpus / parallel_.tensor;
        if (parallel_.devices() != gpus)
            fail(invalid_argument("--tp times --pp must be --gpus, which is " + std::to_string(gpus),
                                  "--gpus"));
    }

    // What was asked for must divide the model; else the widest that does is taken.
    void settle_parallelism() {
        const Status divides = can_divide(shape_, parallel_);
        if (divides) return;
        const auto choices = parallel_choices(shape_, parallel_.devices());
        if (flags_.tensor > 0 || flags_.pipeline > 0 || choices.empty()) return fail(divides.error());
        parallel_ = choices.front();
    }

    // They say what a calibrated device was measured with, and would change nothing.
    void refuse_flags_of_models() {
        const std::pair<bool, const char*> given[] = {{!flags_.model.empty(), "--model"},
                                                      {!flags_.weight_dtype.empty(), "--weight-dtype"},
                                                      {!flags_.kv_dtype.empty(), "--kv-dtype"},
                                                      {flags_.gpus > 0, "--gpus"},
                                                      {flags_.tensor > 0, "--tp"},
                                                      {flags_.pipeline > 0, "--pp"}};
        for (const auto& [is_given, flag] : given) {
            if (!is_given) continue;
            fail(invalid_argument(std::string(flag) + " has no effect: " + flags_.device +
                                      " holds costs measured with " +
                                      (file_.model.empty() ? "one model" : file_.model) +
                                      "; leave it out, or calibrate with that model",
                                  flag));
        }
    }

    // The device named cpu computes with int8 weights, unless a file says otherwise.
    std::string weight_dtype(const std::string& model) const {
        const bool file = std::filesystem::exists(model);
        return flags_.weight_dtype.empty() && numbers_.name == "cpu" && !file ? "int8" : flags_.weight_dtype;
    }

    void read_model() {
        if (file_.is_calibrated()) refuse_flags_of_models();
        read_parallelism();
        if (!status_) return;
        if (file_.is_calibrated()) {
            fact("model", file_.model);
            setup_.costs = std::make_unique<CalibratedCosts>(costs_of(file_));
            return;
        }
        const std::string model = flags_.model.empty() ? "llama-3-8b" : flags_.model;
        const std::string dtype = weight_dtype(model);
        ShapeWish wish{model, {}, {}};
        double bytes = 0;
        if (!dtype.empty() && take(parse_dtype(dtype, "--weight-dtype"), bytes)) wish.weight_bytes = bytes;
        if (!flags_.kv_dtype.empty() && take(parse_dtype(flags_.kv_dtype, "--kv-dtype"), bytes))
            wish.kv_bytes = bytes;
        if (!status_ || !take(find_model_shape(wish), shape_)) return;
        fact("model", shape_.name);
        settle_parallelism();
        if (!status_) return;
        RooflineOptions options;
        options.shape = shape_;
        options.device = numbers_;
        options.parallel = parallel_;
        if (!file_.name.empty() || file_.bandwidth > 0) {
            options.reached_bandwidth = file_.reached_bandwidth;
            options.reached_flops = file_.reached_flops;
            options.launch_us = file_.launch_us;
        }
        setup_.costs = std::make_unique<RooflineCosts>(std::move(options));
    }

    void read_scheduler() {
        if (!status_) return;
        const auto given = [](std::uint32_t flag, std::uint32_t file, std::uint32_t otherwise) {
            return flag > 0 ? flag : file > 0 ? file : otherwise;
        };
        const bool server = file_.is_calibrated();  // then as `troupe serve` has it without flags
        SchedulerOptions& scheduler = setup_.options.scheduler;
        scheduler.max_num_seqs = given(flags_.max_num_seqs, file_.max_num_seqs, server ? 64 : 256);
        scheduler.max_num_batched_tokens =
            given(flags_.max_num_batched_tokens, file_.max_num_batched_tokens, server ? 512 : 2048);
        scheduler.block_size = given(flags_.block_size, file_.block_size, 16);
        scheduler.max_model_len =
            given(flags_.max_model_len, file_.max_model_len, std::max(shape_.max_context, 32768U));
        scheduler.max_steps_in_flight = given(flags_.steps_in_flight, file_.max_steps_in_flight, 2);
        scheduler.end_token_ids = {0};
        scheduler.num_blocks = given(flags_.kv_blocks, file_.kv_blocks, 0);
        if (scheduler.num_blocks == 0) read_pool(scheduler);
        read_tiers(scheduler);
        if (!status_) return;
        if (const Status valid = validate(scheduler); !valid) return fail(valid.error());
        SimulationOptions& options = setup_.options;
        options.num_replicas = flags_.replicas;
        options.max_tokens = flags_.max_tokens;
        options.oracle = flags_.oracle;
        options.prefix_caching = !flags_.no_prefix_caching;
        if (flags_.max_waiting > 0) options.max_open = flags_.max_waiting + scheduler.max_num_seqs;
        double seconds = 0;
        if (!flags_.ttft_target.empty() && take(parse_seconds(flags_.ttft_target, "--ttft-target"), seconds))
            options.ttft_target = std::llround(seconds * 1e6);
        if (!flags_.tpot_target.empty() && take(parse_seconds(flags_.tpot_target, "--tpot-target"), seconds))
            options.tpot_target = std::llround(seconds * 1e6);
        const auto routing = parse_routing(flags_.routing);
        if (!routing) {
            return fail(invalid_argument(
                "--routing: '" + flags_.routing + "' is not least-loaded, round-robin or prefix",
                "--routing"));
        }
        options.routing = *routing;
        setup_.prices = {flags_.replicas * parallel_.devices(),
                         flags_.watts > 0 ? flags_.watts : numbers_.watts, flags_.price, flags_.energy_price};
        fact("replicas", std::to_string(flags_.replicas));
        fact("devices_per_replica", std::to_string(parallel_.devices()));
        fact("max_num_seqs", std::to_string(scheduler.max_num_seqs));
        fact("max_num_batched_tokens", std::to_string(scheduler.max_num_batched_tokens));
        fact("kv_blocks", std::to_string(scheduler.num_blocks));
        fact("block_size", std::to_string(scheduler.block_size));
        if (scheduler.host_pages > 0) fact("host_blocks", std::to_string(scheduler.host_pages));
        if (scheduler.disk_pages > 0) fact("disk_blocks", std::to_string(scheduler.disk_pages));
        if (flags_.max_waiting > 0) fact("max_waiting", std::to_string(flags_.max_waiting));
        if (flags_.no_prefix_caching) fact("prefix_caching", "off");
    }

    // Every device of a replica copies its own part of a block to host memory; the disk is one machine's.
    void read_tiers(SchedulerOptions& scheduler) {
        const double tokens = scheduler.block_size;
        const bool shape = shape_.knows_kv();
        const double whole = tokens * (shape ? shape_.kv_bytes_per_token() : file_.kv_bytes_per_token);
        const double part = shape ? tokens * kv_bytes_per_token_per_device(shape_, parallel_) : whole;
        read_tier(flags_.swap_space, "--swap-space", "host_bandwidth", whole, part, numbers_.host_bandwidth,
                  scheduler.host_pages, scheduler.host_us_per_block);
        read_tier(flags_.swap_disk_space, "--swap-disk-space", "disk_bandwidth", whole, whole,
                  numbers_.disk_bandwidth, scheduler.disk_pages, scheduler.disk_us_per_block);
    }

    void read_tier(const std::string& text, const std::string& flag, const std::string& key,
                   double block_bytes, double moved_bytes, double bandwidth, std::uint32_t& pages,
                   double& us_per_block) {
        double bytes = 0;
        if (!status_ || text.empty() || !take(parse_bytes(text, flag), bytes)) return;
        if (block_bytes <= 0)
            return fail(
                invalid_argument(flag + " needs kv_bytes_per_token in [engine] of " + flags_.device, flag));
        if (bandwidth <= 0)
            return fail(invalid_argument(flag + " needs " + key + " in [device] of " + flags_.device, flag));
        if (bytes < block_bytes)
            return fail(invalid_argument(
                flag + ": " + text + " is less than one block, which takes " + number(block_bytes) + " bytes",
                flag));
        constexpr double most_pages = 1U << 30;
        pages = static_cast<std::uint32_t>(std::min(bytes / block_bytes, most_pages));
        us_per_block = moved_bytes / bandwidth * 1e6;
    }

    // What the weights leave.
    void read_pool(SchedulerOptions& scheduler) {
        DeviceNumbers usable = numbers_;
        usable.memory_bytes *= memory_share;
        if (file_.is_calibrated() || numbers_.memory_bytes <= 0)
            return fail(invalid_argument(
                "--kv-blocks is needed: the device's file does not say how many there are", "--kv-blocks"));
        const double blocks = kv_capacity_tokens(shape_, usable, parallel_) / scheduler.block_size;
        if (blocks < 1) {
            return fail(invalid_argument("the weights of " + shape_.name +
                                             " do not fit into 90 % of the devices' memory; take more "
                                             "--gpus or a smaller --weight-dtype",
                                         "--gpus"));
        }
        scheduler.num_blocks = static_cast<std::uint32_t>(std::min(blocks, 1e9));
    }

    void read_policies() {
        if (!status_) return;
        take(choose_policies(flags_.policies, flags_.policy_options), setup_.policies);
    }

    void read_workload() {
        if (!status_) return;
        const bool synthetic = flags_.trace.empty();
        if (synthetic) {
            setup_.workload = synthetic_workload({flags_.num_requests > 0 ? flags_.num_requests : 1000,
                                                  flags_.input_len, flags_.output_len, flags_.length_spread,
                                                  flags_.shared_prefix, flags_.seed});
        } else if (!take(read_trace(flags_.trace, flags_.trace_model), setup_.workload)) {
            return;
        }
        if (!synthetic && flags_.num_requests > 0) {
            if (const Status repeated = repeat(setup_.workload, flags_.num_requests); !repeated)
                return fail(repeated.error());
        }
        if (flags_.tenants > 0) set_tenants(setup_.workload, flags_.tenants, flags_.seed);
        if (flags_.priorities > 0) set_priorities(setup_.workload, flags_.priorities, flags_.seed);
        if (flags_.request_rate > 0 && flags_.load > 0)
            return fail(
                invalid_argument("--load and --request-rate say the same thing twice; give one", "--load"));
        double rate = flags_.request_rate;
        if (flags_.load > 0) {
            const double capacity = capacity_of_replica(setup_) * flags_.replicas;
            rate = flags_.load * capacity;
            fact("capacity_requests_per_second", number(capacity));
        }
        set_rate(synthetic, rate);
        if (flags_.tenants > 0) fact("tenants", std::to_string(flags_.tenants));
        if (flags_.priorities > 0) fact("priorities", std::to_string(flags_.priorities));
        fact("workload", synthetic ? "synthetic" : std::filesystem::path(flags_.trace).filename().string());
        fact("seed", std::to_string(flags_.seed));
    }

    // A trace keeps its pattern, faster or slower, unless arrivals were asked for.
    void set_rate(bool synthetic, double rate) {
        ArrivalOptions arrivals;
        arrivals.variation = flags_.burstiness;
        arrivals.burst = flags_.burst;
        arrivals.seed = flags_.seed;
        if (flags_.arrivals == "gamma") arrivals.kind = Arrivals::gamma;
        if (flags_.arrivals == "bursts") arrivals.kind = Arrivals::bursts;
        const double own = mean_rate(setup_.workload);
        arrivals.rate = rate > 0 ? rate : own > 0 ? own : 1;
        if (synthetic || !flags_.arrivals.empty()) {
            set_arrivals(setup_.workload, arrivals);
        } else if (rate > 0 && own > 0) {
            scale_rate(setup_.workload, rate / own);
        }
        if (flags_.rate_scale != 1) scale_rate(setup_.workload, flags_.rate_scale);
    }

    const SimulateFlags& flags_;
    SimulationSetup setup_;
    DeviceFile file_;
    DeviceNumbers numbers_;
    ModelShape shape_;
    Parallelism parallel_;
    Status status_;
};

}  // namespace

Result<SimulationSetup> set_up_simulation(const SimulateFlags& flags) {
    return SimulationReader(flags).read();
}

double capacity_of_replica(const SimulationSetup& setup) {
    constexpr std::size_t enough = 4000;
    Workload workload = setup.workload;
    workload.requests.resize(std::min(enough, workload.requests.size()));
    for (WorkloadRequest& request : workload.requests) request.arrival = 0;
    SimulationOptions options = setup.options;
    options.num_replicas = 1;
    options.max_open = 0;
    const SimulationResult result = simulate(workload, options, *setup.costs, setup.policies.front().make);
    // Between a tenth and nine tenths of the ends: neither filling up nor running empty.
    std::vector<TimeUs> ends;
    for (const RequestOutcome& request : result.requests)
        if (request.served) ends.push_back(request.last_token);
    std::sort(ends.begin(), ends.end());
    if (ends.size() < 10)
        return result.duration > 0
                   ? static_cast<double>(ends.size()) * 1e6 / static_cast<double>(result.duration)
                   : 0;
    const std::size_t first = ends.size() / 10, last = ends.size() - 1 - ends.size() / 10;
    return static_cast<double>(last - first) * 1e6 /
           static_cast<double>(std::max<TimeUs>(1, ends[last] - ends[first]));
}

}  // namespace troupe
