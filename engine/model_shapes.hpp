// Well-known models as numbers, for planning without their files.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "engine/roofline.hpp"

namespace troupe {

// What a decoder's configuration says of its sizes. Gated feed-forward, RMS norms (too small to count).
struct DecoderSizes : DecoderDimensions {
    const char* name = "";
    std::uint32_t intermediate_size = 0;  // of one expert, in a mixture
    std::uint32_t vocab_size = 0;
    bool tied_embeddings = false;
    std::uint32_t shared_intermediate_size = 0;  // of the part that every token goes through
    std::uint32_t num_dense_layers = 0;          // of a mixture: layers without experts
    std::uint32_t dense_intermediate_size = 0;   // of those
};

// By name, in either case: "llama-3-8b". Nothing if it is not known.
std::optional<DecoderSizes> find_decoder(std::string_view name);
std::string decoder_names();  // all, for messages

// `weight_bytes` for each parameter, `kv_bytes` for each element of keys and values.
ModelShape shape_of(const DecoderSizes& sizes, double weight_bytes, double kv_bytes);

// All parameters, and those that one token is multiplied with (the head included).
double count_parameters(const DecoderSizes& sizes);
double count_active_parameters(const DecoderSizes& sizes);

}  // namespace troupe
