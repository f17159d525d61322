#include "apps/plan_input.hpp"

#include <cmath>

#include "apps/model_shape.hpp"
#include "apps/quantity.hpp"
#include "conf/values.hpp"
#include "engine/device_numbers.hpp"

namespace troupe {
namespace {

// Reads flags one after another and keeps the first error.
class PlanReader {
  public:
    explicit PlanReader(const PlanFlags& flags) : flags_(flags) {}

    Result<PlanInput> read() {
        read_parallelism();
        read_model();
        settle_parallelism();
        read_device();
        read_request();
        read_disaggregation();
        if (!status_) return status_.error();
        return std::move(plan_);
    }

  private:
    using Parser = Result<double> (*)(std::string_view, const std::string&);

    void fail(Error error) {
        if (status_) status_ = std::move(error);
    }
    void need(const std::string& flags, const std::string& purpose) {
        fail(invalid_argument(purpose + " needs " + flags, flags));
    }

    // Whether the flag was given; then its value is read.
    bool read(const std::string& text, const char* flag, Parser parse, double& value) {
        if (text.empty()) return false;
        const auto result = parse(text, flag);
        if (!result) {
            fail(result.error());
        } else {
            value = *result;
        }
        return true;
    }
    bool read(const std::string& text, const char* flag, std::uint32_t& value) {
        if (text.empty()) return false;
        const auto result = parse_integer(text, 1, 100'000'000);
        if (!result) {
            fail(invalid_argument(std::string(flag) + ": " + result.error().message, flag));
        } else {
            value = static_cast<std::uint32_t>(*result);
        }
        return true;
    }
    std::vector<double> read_list(const std::vector<std::string>& texts, const char* flag, Parser parse,
                                  std::vector<double> otherwise) {
        if (texts.empty()) return otherwise;
        std::vector<double> values;
        for (const std::string& text : texts) {
            double value = 0;
            read(text, flag, parse, value);
            values.push_back(value);
        }
        return values;
    }

    void read_parallelism() {
        std::uint32_t gpus = 1;
        const bool all = read(flags_.gpus, "--gpus", gpus);
        const bool tensor = read(flags_.tensor, "--tp", plan_.parallel.tensor);
        const bool pipeline = read(flags_.pipeline, "--pp", plan_.parallel.pipeline);
        places_given_ = tensor || pipeline;
        if (!status_ || !all) return;
        if (!tensor && gpus % plan_.parallel.pipeline == 0)
            plan_.parallel.tensor = gpus / plan_.parallel.pipeline;
        if (tensor && !pipeline && gpus % plan_.parallel.tensor == 0)
            plan_.parallel.pipeline = gpus / plan_.parallel.tensor;
        if (plan_.parallel.devices() != gpus) {
            fail(invalid_argument("--tp times --pp must be --gpus, which is " + std::to_string(gpus),
                                  "--gpus"));
        }
    }

    // Once the model is known: what was asked for must divide it; else the widest that does is taken.
    void settle_parallelism() {
        if (!status_) return;
        const Status divides = can_divide(plan_.shape, plan_.parallel);
        if (divides) return;
        const auto choices = parallel_choices(plan_.shape, plan_.parallel.devices());
        if (places_given_ || choices.empty()) return fail(divides.error());
        plan_.parallel = choices.front();
    }

    void read_model() {
        if (!status_) return;
        ModelShape& shape = plan_.shape;
        double weight_bytes = 0, kv_bytes = 0, params = 0;
        const bool weight_dtype = read(flags_.weight_dtype, "--weight-dtype", parse_dtype, weight_bytes);
        const bool kv_dtype = read(flags_.kv_dtype, "--kv-dtype", parse_dtype, kv_bytes);
        const bool has_params = read(flags_.params, "--params", parse_count, params);
        if (!status_) return;
        if (!flags_.model.empty()) {
            ShapeWish wish{flags_.model, {}, {}};
            if (weight_dtype) wish.weight_bytes = weight_bytes;
            if (kv_dtype) wish.kv_bytes = kv_bytes;
            auto found = find_model_shape(wish);
            if (!found) return fail(found.error());
            shape = *std::move(found);
        } else if (!has_params && flags_.weights_per_gpu.empty()) {
            return need("--model, or --params with --weight-dtype, or --weights-per-gpu", "a plan");
        } else if (!weight_dtype && flags_.weights_per_gpu.empty()) {
            return need("--weight-dtype (such as f16) or --weights-per-gpu", "the weights' size");
        }
        if (kv_dtype) shape.kv_element_bytes = kv_bytes;
        if (has_params) read_parameters(params, weight_bytes);
        double per_gpu = 0;
        if (read(flags_.weights_per_gpu, "--weights-per-gpu", parse_bytes, per_gpu)) {
            const double all = per_gpu * plan_.parallel.devices();
            const double factor = shape.weight_bytes > 0 ? all / shape.weight_bytes : 0;
            shape.streamed_bytes = factor > 0 ? shape.streamed_bytes * factor : all;
            shape.expert_bytes *= factor;
            shape.weight_bytes = all;
        }
        read(flags_.layers, "--layers", shape.num_layers);
        read(flags_.heads, "--heads", shape.num_heads);
        read(flags_.kv_heads, "--kv-heads", shape.num_kv_heads);
        read(flags_.head_dim, "--head-dim", shape.head_dim);
        read(flags_.hidden, "--hidden-size", shape.hidden_size);
    }

    void read_parameters(double params, double weight_bytes) {
        ModelShape& shape = plan_.shape;
        double active = params;
        read(flags_.active_params, "--active-params", parse_count, active);
        if (active > params)
            fail(invalid_argument("--active-params must not exceed --params", "--active-params"));
        if (weight_bytes == 0) weight_bytes = 1;  // --weights-per-gpu says
        shape.weight_bytes = params * weight_bytes;
        shape.streamed_bytes = active * weight_bytes;
        shape.expert_bytes = (params - active) * weight_bytes;
        shape.num_experts = 0;
        shape.flops_per_token = 2 * active;
        shape.flops_per_logits_row = 0;
    }

    void read_device() {
        if (!status_) return;
        DeviceNumbers& device = plan_.device;
        if (!flags_.device.empty()) {
            const auto known = find_device(flags_.device, is_eight_bit(flags_.weight_dtype));
            if (!known) {
                return fail(invalid_argument("--device: '" + flags_.device + "' is not known; known are " +
                                                 device_names() +
                                                 "; or give --bandwidth, --gpu-memory and --flops",
                                             "--device"));
            }
            device = *known;
        }
        read(flags_.bandwidth, "--bandwidth", parse_rate, device.bandwidth);
        read(flags_.gpu_memory, "--gpu-memory", parse_bytes, device.memory_bytes);
        read(flags_.flops, "--flops", parse_flops, device.flops);
        if (device.bandwidth <= 0)
            need("--bandwidth (of one device's memory, such as 2TB/s) or --device", "a plan");
    }

    // Whether anything about batches was asked for.
    bool wants_batches() const {
        for (const std::string* text : {&flags_.tpot, &flags_.context, &flags_.gpu_memory, &flags_.layers,
                                        &flags_.kv_heads, &flags_.head_dim, &flags_.kv_dtype})
            if (!text->empty()) return true;
        return false;
    }

    std::string missing_for_batches() const {
        std::string missing;
        const auto add = [&](bool absent, const char* flag) {
            if (absent) missing += (missing.empty() ? "" : ", ") + std::string(flag);
        };
        add(plan_.shape.num_layers == 0, "--layers");
        add(plan_.shape.num_kv_heads == 0, "--kv-heads");
        add(plan_.shape.head_dim == 0, "--head-dim");
        add(flags_.model.empty() && flags_.kv_dtype.empty(), "--kv-dtype (such as f16)");
        add(plan_.device.memory_bytes <= 0, "--gpu-memory (such as 80GB)");
        return missing;
    }

    void read_request() {
        if (!status_) return;
        double value = 0;
        std::uint32_t context = 0;
        if (read(flags_.tpot, "--tpot", parse_seconds, value)) plan_.tpot_seconds = value;
        if (read(flags_.context, "--context", context)) plan_.context = context;
        const std::string missing = missing_for_batches();
        plan_.knows_batches = missing.empty();
        if (!plan_.knows_batches && wants_batches()) need(missing, "the largest batch");
    }

    void read_disaggregation() {
        if (!status_) return;
        const bool wanted = !flags_.links.empty() || !flags_.prompts.empty() || !flags_.outputs.empty();
        plan_.knows_disaggregation =
            plan_.shape.knows_kv() && plan_.shape.flops_per_token > 0 && plan_.device.flops > 0;
        if (wanted && !plan_.knows_disaggregation) {
            return need("--flops (or --device), --layers, --kv-heads, --head-dim and --params, or --model",
                        "the break-even of disaggregation");
        }
        plan_.links = read_list(flags_.links, "--link", parse_rate, {1.25e9, 12.5e9, 50e9, 450e9});
        plan_.prompts = read_list(flags_.prompts, "--prompt-len", parse_whole, {512, 2048, 8192, 32768});
        plan_.outputs = read_list(flags_.outputs, "--output-len", parse_whole, {32, 256, 1024});
        DisaggregationCase& c = plan_.disaggregation;
        c.batch = 0;
        read(flags_.batch, "--batch", parse_whole, c.batch);
        read(flags_.chunk, "--chunk", parse_whole, c.chunk);
        read(flags_.handshake, "--handshake", parse_seconds, c.handshake_seconds);
        read(flags_.queueing_saved, "--queueing-saved", parse_seconds, c.queueing_saved_seconds);
    }

    const PlanFlags& flags_;
    PlanInput plan_;
    bool places_given_ = false;  // --tp or --pp
    Status status_;
};

}  // namespace

Result<PlanInput> read_plan(const PlanFlags& flags) { return PlanReader(flags).read(); }

}  // namespace troupe
