// Predicts how long outputs get, from those of finished requests.
#pragma once
#include <array>
#include <cstdint>
#include <map>

namespace troupe {

// Output lengths fall into buckets of half a power of two. A class is a tenant and the power of two of the
// prompt's length; each keeps, per bucket, a faded count and sum of lengths. The prediction for a sequence
// that has generated g tokens is the mean residual life, E[L - g | L > g], over the observations of its
// class; of all classes of that prompt length if its own has fewer than 8, of everything if those have fewer;
// and half of what it may generate before anything has finished. Older observations fade by 1 % with each new
// one of the class.
class LengthPredictor {
  public:
    void observe(std::uint64_t tenant, std::uint32_t prompt_tokens, std::uint32_t output_tokens);

    // Tokens it will still generate: at least 1, at most max_tokens - generated (1 if that is less).
    double remaining(std::uint64_t tenant, std::uint32_t prompt_tokens, std::uint32_t generated,
                     std::uint32_t max_tokens) const;

  private:
    struct Class {
        struct Bucket {
            double count = 0;
            double sum = 0;  // of lengths
        };
        double count = 0;
        double sum = 0;
        std::array<Bucket, 64> buckets{};

        void observe(std::uint32_t length);
        double residual(std::uint32_t generated) const;
    };
    using Key = std::pair<std::uint64_t, std::uint32_t>;  // tenant, power of two of the prompt's length

    const Class& best_class(const Key& key) const;
    const Class& class_of(std::uint64_t tenant, std::uint32_t prompt_tokens) const;

    // Which class speaks for a key, as long as nothing new was observed: every waiting sequence asks at every
    // step.
    struct Known {
        Key key;
        const Class* of = nullptr;
    };
    mutable std::array<Known, 64> known_{};

    std::map<Key, Class> classes_;
    std::array<Class, 33> by_prompt_;
    Class all_;
};

}  // namespace troupe
