// Rotary position embedding: the angles. Computed in double, once per position, outside of the forward pass.
#pragma once
#include <cstddef>
#include <vector>

#include "core/forward_batch.hpp"
#include "model/model_spec.hpp"

namespace troupe {

// Angle per position of each of the pairs in a head's first `rotated` dimensions. llama3: as in Llama 3.1's
// reference, apply_scaling() of https://github.com/meta-llama/llama-models/blob/main/models/llama3/model.py;
// dynamic (of sequences of that length), yarn (Peng et al., 2023) and longrope (Ding et al., 2024): as
// transformers' modeling_rope_utils.py has them.
std::vector<double> rope_frequencies(const RopeSpec& rope, std::size_t head_dim, std::size_t length = 0);

// Cosines and sines of positions 0 to size() - 1, grown as sequences do. One thread grows it, then many read.
class RopeTable {
  public:
    RopeTable(const RopeSpec& rope, std::size_t head_dim, std::size_t length = 0);

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

// What the angles of any token depend on besides its position, for a prompt of that length; empty: nothing.
// KV computed for one prompt is right for another with the same beginning if they agree in this.
std::string rope_dependence(const std::vector<RopeSpec>& ropes, std::size_t prompt_length);

// The angles of a step's tokens. Two scalings depend on a sequence's length, which here is that of its
// prompt, so that a token's angles depend on its sequence alone, however it is batched, cut or computed
// again: longrope takes the long factors for prompts beyond original_max_position; dynamic stretches the
// prompt's frequencies by its length, and those of each generated token by the length with it, as
// transformers does with a cache.
class RopeAngles {
  public:
    struct Pairs {
        const float* cosines = nullptr;  // [rotated / 2]
        const float* sines = nullptr;
    };

    RopeAngles(const RopeSpec& rope, std::size_t head_dim);

    // Before each step, by one thread. A batch without prompt_lens is all prompt.
    void begin(const ForwardBatch& batch);
    const Pairs& of(std::size_t token) const { return tokens_[token]; }
    std::size_t rotated() const { return table_.rotated(); }

  private:
    void begin_row(const ForwardBatch& batch, std::size_t row);
    // Of one position, at frequencies that hold for this token only.
    Pairs stretched(std::size_t token, std::size_t position, const std::vector<double>& frequencies);

    RopeSpec rope_;
    std::size_t head_dim_;
    RopeTable table_;
    RopeTable long_table_;          // longrope's of long prompts; otherwise never grown
    std::vector<float> stretched_;  // dynamic's, of this step's tokens: [T][cosines, sines]
    std::vector<Pairs> tokens_;
};

}  // namespace troupe
