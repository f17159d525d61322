// Random numbers that are the same on every platform (the standard's distributions are not).
#pragma once
#include <cmath>
#include <cstdint>

namespace troupe {

// SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
class Random {
  public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
        return z ^ (z >> 31);
    }
    // In (0, 1].
    double uniform() { return (static_cast<double>(next() >> 11) + 1) * 0x1p-53; }
    double exponential(double mean) { return -std::log(uniform()) * mean; }
    double normal() {  // Box and Muller, 1958; one of the pair
        return std::sqrt(-2 * std::log(uniform())) * std::cos(6.283185307179586 * uniform());
    }
    // Marsaglia and Tsang, "A simple method for generating gamma variables", 2000.
    double gamma(double shape, double scale) {
        if (shape < 1) return gamma(shape + 1, scale) * std::pow(uniform(), 1 / shape);
        const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
        for (;;) {
            const double x = normal();
            const double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
            if (v > 0 && std::log(uniform()) < 0.5 * x * x + d - d * v + d * std::log(v))
                return d * v * scale;
        }
    }

  private:
    std::uint64_t state_;
};

}  // namespace troupe
