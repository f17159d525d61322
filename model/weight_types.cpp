#include "model/weight_types.hpp"

namespace troupe {

Result<DType> parse_quantized_type(const std::string& text, const std::string& flag) {
    std::string name = text;
    for (char& letter : name)
        if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
    for (const DType type : {DType::q8_0, DType::q4_0, DType::q4_1, DType::q4_k})
        if (name == dtype_name(type)) return type;
    return invalid_argument(flag + ": '" + text + "' is unknown; allowed are q8_0, q4_0, q4_1 and q4_k",
                            flag);
}

DType TypeChooser::of_end(DType stored, std::uint64_t columns) {
    if (block_columns(stored) > 1) return stored;
    return fitting(block_columns(wanted_) > 1 ? DType::q8_0 : wanted_, stored, columns);
}

DType TypeChooser::of_matrix(DType stored, std::uint64_t columns) {
    if (stored != DType::mxfp4) return fitting(wanted_, stored, columns);
    ++notes_["MXFP4, as trained"];
    return stored;
}

DType TypeChooser::fitting(DType best, DType stored, std::uint64_t columns) {
    const std::uint32_t block = block_columns(best);
    if (columns % block == 0) return best;
    const DType other = columns % 32 == 0 ? DType::q4_1 : stored;
    const std::uint32_t needed = columns % 32 == 0 ? block : 32;
    ++notes_[std::string(dtype_name(other)) + ": rows of " + std::to_string(columns) + " do not divide by " +
             std::to_string(needed) + ", which " + dtype_name(best) + " needs"];
    return other;
}

std::vector<std::string> TypeChooser::notes() const {
    std::vector<std::string> lines;
    for (const auto& [note, count] : notes_)
        lines.push_back(std::to_string(count) + (count == 1 ? " matrix is " : " matrices are ") + note);
    return lines;
}

}  // namespace troupe
