// Rotary position embedding: the angles. Computed in double, once per position, outside of the forward pass.
#pragma once
#include <cstddef>
#include <vector>

#include "model/model_spec.hpp"

namespace troupe {

// Angle per position of each of the head_dim / 2 pairs. `factors`: divisors of the frequencies, or empty
// (GGUF's rope_freqs.weight, which holds llama3's scaling). llama3: as in Llama 3.1's reference,
// apply_scaling() of https://github.com/meta-llama/llama-models/blob/main/models/llama3/model.py.
std::vector<double> rope_frequencies(const RopeSpec& rope, std::size_t head_dim,
                                     const std::vector<float>& factors);

// Cosines and sines of positions 0 to size() - 1, grown as sequences do. One thread grows it, then many read.
class RopeTable {
  public:
    RopeTable(const ModelSpec& spec, const std::vector<float>& factors);

    void grow(std::size_t positions);
    std::size_t size() const { return cosines_.size() / frequencies_.size(); }

    const float* cosines(std::size_t position) const { return &cosines_[position * frequencies_.size()]; }
    const float* sines(std::size_t position) const { return &sines_[position * frequencies_.size()]; }

  private:
    std::vector<double> frequencies_;
    std::vector<float> cosines_;  // [size()][head_dim / 2]
    std::vector<float> sines_;
};

}  // namespace troupe
