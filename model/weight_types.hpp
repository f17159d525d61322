// Which type each matrix of a model gets when it is quantized.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/status.hpp"
#include "model/tensor.hpp"

namespace troupe {

// "q4_k" or "Q4_K": q8_0, q4_0, q4_1 or q4_k. `flag` is the one at fault if it is something else.
Result<DType> parse_quantized_type(const std::string& text, const std::string& flag);

// Chooses, and counts for the user what became something else than was asked for.
class TypeChooser {
  public:
    explicit TypeChooser(DType wanted) : wanted_(wanted) {}

    // Embedding and output become Q8_0 whatever is wanted: an embedding is read a row at a time, so that its
    // size costs no speed, and the output's errors go straight into the logits. Q8_0 is half of BF16, and
    // more widths divide by its 32 than by Q6_K's 256. What is quantized already is not made larger, and
    // MXFP4, which models were trained in, stays. What `wanted` cannot hold becomes the nearest type that
    // can.
    DType of_end(DType stored, std::uint64_t columns);
    DType of_matrix(DType stored, std::uint64_t columns);

    DType wanted() const { return wanted_; }
    std::vector<std::string> notes() const;

  private:
    DType fitting(DType best, DType stored, std::uint64_t columns);

    DType wanted_;
    std::map<std::string, std::size_t> notes_;  // how many matrices each is about
};

}  // namespace troupe
