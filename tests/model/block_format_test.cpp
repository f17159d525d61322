// Quantized blocks against what the gguf Python package makes of them, and each format's ends.
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "model/float16.hpp"
#include "model/tensor.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

std::vector<std::byte> from_hex(const std::string& text) {
    std::vector<std::byte> bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(i, 2), nullptr, 16)));
    return bytes;
}

}  // namespace

TEST_CASE("Every quantized format dequantizes as the gguf package does") {
    std::ifstream file(TROUPE_TEST_DATA "/block_formats/blocks.txt");
    std::map<std::string, DType> quantized;
    for (const DType dtype : all_dtypes)
        if (block_columns(dtype) > 1) quantized[dtype_name(dtype)] = dtype;
    std::string line;
    while (std::getline(file, line)) {
        std::istringstream fields(line);
        std::string name;
        std::string blocks;
        std::string weights;
        fields >> name >> blocks >> weights;
        INFO(name);
        REQUIRE(quantized.count(name) == 1);
        const DType dtype = quantized[name];
        quantized.erase(name);
        const std::vector<std::byte> bytes = from_hex(blocks);
        const std::uint32_t columns = 2 * block_columns(dtype);
        REQUIRE(bytes.size() == row_bytes(dtype, columns));
        std::vector<float> out(columns);
        dequantize_row({dtype, 1, columns, bytes.data()}, 0, out.data());
        for (std::uint32_t i = 0; i < columns; ++i) {
            const auto bits = static_cast<std::uint32_t>(std::stoul(weights.substr(8 * i, 8), nullptr, 16));
            REQUIRE(out[i] == std::bit_cast<float>(bits));
        }
    }
    CHECK(quantized.empty());
}

TEST_CASE("MXFP4 scales reach the ends of their range") {
    std::vector<std::byte> block(17, std::byte{0x21});  // 0.5, then 1
    float out[32];
    const auto first = [&](int scale) {
        block[0] = static_cast<std::byte>(scale);
        dequantize_row({DType::mxfp4, 1, 32, block.data()}, 0, out);
        return out[0];
    };
    CHECK(first(127) == 0.5F);
    CHECK(out[16] == 1.0F);
    CHECK(first(0) == 0x1p-128F);
    CHECK(first(1) == 0x1p-127F);
    CHECK(first(2) == 0x1p-126F);
    CHECK(first(254) == 0x1p126F);
    CHECK(std::isnan(first(255)));
}

TEST_CASE("The list of types names all of them") {
    CHECK(dtype_names() ==
          "F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K, IQ4_NL and MXFP4");
}

}  // namespace troupe
