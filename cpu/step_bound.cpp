#include "cpu/step_bound.hpp"

#include <algorithm>
#include <cmath>

#include "cpu/backend.hpp"

namespace troupe {
namespace {

// A matrix that `tokens` are multiplied with, read with probability `share`.
void add_matrix(StepNeeds& needs, const PackedMatrix& matrix, double tokens, double share = 1) {
    if (!matrix) return;
    needs.weight_bytes += share * static_cast<double>(matrix.bytes());
    (matrix.wants_int8() ? needs.int8_operations : needs.fp32_operations) +=
        2.0 * static_cast<double>(matrix.rows()) * static_cast<double>(matrix.columns()) * tokens;
}

void add_expert(StepNeeds& needs, const CpuExpert& expert, double tokens, double share) {
    for (const CpuLinear* linear : {&expert.gate, &expert.up, &expert.down})
        add_matrix(needs, linear->matrix, tokens, share);
}

}  // namespace

StepNeeds step_needs(const CpuModel& model, const StepSize& size) {
    const ModelSpec& spec = model.spec();
    StepNeeds needs;
    const double tokens = double{1} * size.rows * size.tokens;
    for (std::size_t i = 0; i < model.parameters().layers.size(); ++i) {
        const auto& layer = model.parameters().layers[i];
        for (const CpuLinear* linear :
             {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down})
            add_matrix(needs, linear->matrix, tokens);
        add_matrix(needs, layer.moe.router.matrix, tokens);
        add_expert(needs, layer.moe.shared, tokens, 1);
        if (layer.moe.experts.empty()) continue;
        const double chosen =
            double{1} * spec.moe->experts_per_token / static_cast<double>(layer.moe.experts.size());
        for (const CpuExpert& expert : layer.moe.experts)
            add_expert(needs, expert, tokens * chosen, 1 - std::pow(1 - chosen, tokens));
    }
    add_matrix(needs, model.parameters().lm_head.matrix, size.rows);
    const double kv_of_token =
        static_cast<double>(cpu_bytes_per_block(spec, model.kv_type(), 1)) / spec.num_layers;
    for (const LayerSpec& layer : spec.layers) {
        const double window = layer.sliding_window > 0 ? layer.sliding_window : spec.max_position;
        needs.kv_bytes += kv_of_token * size.rows * std::min<double>(size.start, window);
        const double attended = std::min(size.start + (size.tokens + 1) / 2.0, window);
        needs.fp32_operations += 4.0 * spec.num_heads * spec.head_dim * tokens * attended;
    }
    return needs;
}

double StepNeeds::seconds(const CpuRates& rates) const {
    if (rates.read <= 0 || (int8_operations > 0 && rates.int8 <= 0) ||
        (fp32_operations > 0 && rates.fp32 <= 0))
        return 0;
    const double computing = (int8_operations > 0 ? int8_operations / rates.int8 : 0) +
                             (fp32_operations > 0 ? fp32_operations / rates.fp32 : 0);
    return std::max(weight_bytes / rates.read, computing) + kv_bytes / rates.read;
}

}  // namespace troupe
