#include "model/tokenizer/unicode_tables.hpp"

#include <algorithm>
#include <memory>

namespace troupe::unicode {

namespace {

constexpr std::size_t num_code_points = 0x110000;

std::unique_ptr<std::uint8_t[]> expand(std::span<const ClassRun> runs) {
    auto values = std::make_unique<std::uint8_t[]>(num_code_points);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        const std::size_t end = i + 1 < runs.size() ? runs[i + 1].first : num_code_points;
        std::fill(&values[runs[i].first], values.get() + end, runs[i].value);
    }
    return values;
}

}  // namespace

const std::uint8_t* class_of_characters() {
    static const std::unique_ptr<std::uint8_t[]> classes = expand(character_classes);
    return classes.get();
}

}  // namespace troupe::unicode
