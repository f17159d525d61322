#include "engine/model_shapes.hpp"

#include <algorithm>

namespace troupe {
namespace {

// From the models' config.json on the Hugging Face hub.
//   {layers, hidden, heads, KV heads, head, context, experts, of them per token}, name, feed-forward,
//   vocabulary, tied
constexpr DecoderSizes decoders[] = {
    {{30, 576, 9, 3, 64, 8192}, "smollm2-135m", 1536, 49152, true},
    {{32, 960, 15, 5, 64, 8192}, "smollm2-360m", 2560, 49152, true},
    {{24, 2048, 32, 32, 64, 8192}, "smollm2-1.7b", 8192, 49152, true},
    {{32, 4096, 32, 32, 128, 4096}, "llama-2-7b", 11008, 32000, false},
    {{40, 5120, 40, 40, 128, 4096}, "llama-2-13b", 13824, 32000, false},
    {{80, 8192, 64, 8, 128, 4096}, "llama-2-70b", 28672, 32000, false},
    {{32, 4096, 32, 8, 128, 8192}, "llama-3-8b", 14336, 128256, false},
    {{80, 8192, 64, 8, 128, 8192}, "llama-3-70b", 28672, 128256, false},
    {{32, 4096, 32, 8, 128, 131072}, "llama-3.1-8b", 14336, 128256, false},
    {{80, 8192, 64, 8, 128, 131072}, "llama-3.1-70b", 28672, 128256, false},
    {{126, 16384, 128, 8, 128, 131072}, "llama-3.1-405b", 53248, 128256, false},
    {{16, 2048, 32, 8, 64, 131072}, "llama-3.2-1b", 8192, 128256, true},
    {{28, 3072, 24, 8, 128, 131072}, "llama-3.2-3b", 8192, 128256, true},
    {{80, 8192, 64, 8, 128, 131072}, "llama-3.3-70b", 28672, 128256, false},
    {{32, 4096, 32, 8, 128, 32768}, "mistral-7b", 14336, 32768, false},
    {{32, 4096, 32, 8, 128, 32768, 8, 2}, "mixtral-8x7b", 14336, 32000, false},
    {{24, 896, 14, 2, 64, 32768}, "qwen2.5-0.5b", 4864, 151936, true},
    {{28, 3584, 28, 4, 128, 131072}, "qwen2.5-7b", 18944, 152064, false},
    {{64, 5120, 40, 8, 128, 131072}, "qwen2.5-32b", 27648, 152064, false},
    {{80, 8192, 64, 8, 128, 131072}, "qwen2.5-72b", 29568, 152064, false},
    {{28, 1024, 16, 8, 128, 40960}, "qwen3-0.6b", 3072, 151936, true},
    {{36, 2560, 32, 8, 128, 40960}, "qwen3-4b", 9728, 151936, true},
    {{36, 4096, 32, 8, 128, 40960}, "qwen3-8b", 12288, 151936, false},
    {{64, 5120, 64, 8, 128, 40960}, "qwen3-32b", 25600, 151936, false},
    {{48, 2048, 32, 4, 128, 40960, 128, 8}, "qwen3-30b-a3b", 768, 151936, false},
    {{42, 3584, 16, 8, 256, 8192}, "gemma-2-9b", 14336, 256000, true},
    {{32, 3072, 32, 32, 96, 4096}, "phi-3-mini", 8192, 32064, false},
    {{24, 2880, 64, 8, 64, 131072, 32, 4}, "gpt-oss-20b", 2880, 201088, false},
    {{36, 2880, 64, 8, 64, 131072, 128, 4}, "gpt-oss-120b", 2880, 201088, false},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

struct Parameters {
    double embedding = 0;   // and as many in the head, if it has its own
    double every_step = 0;  // of the layers, read whatever the tokens
    double experts = 0;     // of all layers
};

Parameters parameters_of(const DecoderSizes& s) {
    Parameters count;
    const double hidden = s.hidden_size, layers = s.num_layers;
    count.embedding = hidden * s.vocab_size;
    const double attention = 2 * hidden * s.num_heads * s.head_dim + 2 * hidden * s.num_kv_heads * s.head_dim;
    const double feed_forward = 3 * hidden * s.intermediate_size;
    if (s.num_experts == 0) {
        count.every_step = layers * (attention + feed_forward);
        return count;
    }
    const double moe_layers = layers - s.num_dense_layers;
    count.every_step = layers * attention + s.num_dense_layers * 3.0 * hidden * s.dense_intermediate_size +
                       moe_layers * (hidden * s.num_experts + 3 * hidden * s.shared_intermediate_size);
    count.experts = moe_layers * s.num_experts * feed_forward;
    return count;
}

double active_experts(const DecoderSizes& sizes, const Parameters& count) {
    return sizes.num_experts == 0 ? 0 : count.experts * sizes.experts_per_token / sizes.num_experts;
}

}  // namespace

std::optional<DecoderSizes> find_decoder(std::string_view name) {
    const auto same = [&](const DecoderSizes& known) {
        const std::string_view other = known.name;
        return std::equal(name.begin(), name.end(), other.begin(), other.end(),
                          [](char a, char b) { return lower(a) == b; });
    };
    const auto found = std::find_if(std::begin(decoders), std::end(decoders), same);
    if (found == std::end(decoders)) return std::nullopt;
    return *found;
}

std::string decoder_names() {
    std::string names;
    for (const DecoderSizes& known : decoders) names += (names.empty() ? "" : ", ") + std::string(known.name);
    return names;
}

double count_parameters(const DecoderSizes& sizes) {
    const Parameters count = parameters_of(sizes);
    return count.embedding * (sizes.tied_embeddings ? 1 : 2) + count.every_step + count.experts;
}

double count_active_parameters(const DecoderSizes& sizes) {
    const Parameters count = parameters_of(sizes);
    return count.embedding + count.every_step + active_experts(sizes, count);
}

ModelShape shape_of(const DecoderSizes& sizes, double weight_bytes, double kv_bytes) {
    const Parameters count = parameters_of(sizes);
    ModelShape shape;
    static_cast<DecoderDimensions&>(shape) = sizes;
    shape.name = sizes.name;
    shape.weight_bytes = count_parameters(sizes) * weight_bytes;
    shape.streamed_bytes = (count.embedding + count.every_step) * weight_bytes;  // the head's, if not tied
    shape.expert_bytes = count.experts * weight_bytes;
    shape.flops_per_token = 2 * (count.every_step + active_experts(sizes, count));
    shape.flops_per_logits_row = 2 * count.embedding;
    shape.kv_element_bytes = kv_bytes;
    return shape;
}

}  // namespace troupe
