#include "engine/cost_model.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace troupe {
namespace {

constexpr double fade = 0.995;            // per step: about the last 200 count
constexpr double ridge = 1e-3;            // against steps that all look alike
constexpr double context_scale = 1024.0;  // brings context sums to the size of the other features

}  // namespace

void CostModel::observe(std::uint64_t tokens, std::uint64_t context_tokens, double step_us) {
    const Vector x = {1.0, static_cast<double>(tokens), static_cast<double>(context_tokens) / context_scale};
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = 0; j < 3; ++j) normal_[i][j] = fade * normal_[i][j] + x[i] * x[j];
        moments_[i] = fade * moments_[i] + x[i] * step_us;
    }
}

// Gaussian elimination with pivoting; a feature whose coefficient comes out negative is dropped and the rest
// solved again, so that what it explained goes to the others.
StepCost CostModel::cost() const {
    std::array<bool, 3> dropped{};
    Vector solution{};
    for (int round = 0; round < 3; ++round) {
        std::array<Vector, 3> a = normal_;
        solution = moments_;
        for (std::size_t i = 0; i < 3; ++i) {
            a[i][i] += ridge * (1.0 + a[i][i]);
            for (std::size_t j = 0; j < 3; ++j) {
                if (dropped[i] || dropped[j]) a[i][j] = i == j ? 1.0 : 0.0;
            }
            if (dropped[i]) solution[i] = 0.0;
        }
        for (std::size_t i = 0; i < 3; ++i) {  // symmetric positive definite: the diagonal is a good pivot
            for (std::size_t k = i + 1; k < 3; ++k) {
                const double factor = a[k][i] / a[i][i];
                for (std::size_t j = i; j < 3; ++j) a[k][j] -= factor * a[i][j];
                solution[k] -= factor * solution[i];
            }
        }
        for (std::size_t i = 3; i-- > 0;) {
            for (std::size_t j = i + 1; j < 3; ++j) solution[i] -= a[i][j] * solution[j];
            solution[i] /= a[i][i];
        }
        const auto lowest =
            static_cast<std::size_t>(std::min_element(solution.begin(), solution.end()) - solution.begin());
        if (solution[lowest] >= 0.0) break;
        dropped[lowest] = true;
        solution[lowest] = 0.0;
    }
    return {std::max(solution[0], 0.0), std::max(solution[1], 0.0),
            std::max(solution[2], 0.0) / context_scale};
}

}  // namespace troupe
