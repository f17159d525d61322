// Rotary position embedding: the angles. Computed in double, once per position, outside of the forward pass.
#pragma once
#include <cstddef>
#include <vector>

#include "model/model_spec.hpp"

namespace troupe {

// Angle per position of each of the pairs in a head's first `rotated` dimensions. llama3: as in Llama 3.1's
// reference, apply_scaling() of https://github.com/meta-llama/llama-models/blob/main/models/llama3/model.py.
std::vector<double> rope_frequencies(const RopeSpec& rope, std::size_t head_dim);

// Cosines and sines of positions 0 to size() - 1, grown as sequences do. One thread grows it, then many read.
class RopeTable {
  public:
    RopeTable(const RopeSpec& rope, std::size_t head_dim);

    void grow(std::size_t positions);
    std::size_t size() const { return cosines_.size() / frequencies_.size(); }
    std::size_t rotated() const { return 2 * frequencies_.size(); }  // dimensions of a head

    const float* cosines(std::size_t position) const { return &cosines_[position * frequencies_.size()]; }
    const float* sines(std::size_t position) const { return &sines_[position * frequencies_.size()]; }

  private:
    std::vector<double> frequencies_;
    double attention_factor_;
    std::vector<float> cosines_;  // [size()][rotated / 2]
    std::vector<float> sines_;
};

}  // namespace troupe
