// Half precision, exponential, dequantization, rotary frequencies.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "model/exp.hpp"
#include "model/float16.hpp"
#include "model/rope.hpp"
#include "model/tensor.hpp"
#include "tests/catch.hpp"

namespace troupe {

TEST_CASE("Every half survives the way to float and back") {
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
        const Half half{static_cast<std::uint16_t>(bits)};
        const float value = to_float(half);
        if (std::isnan(value)) {
            CHECK(std::isnan(to_float(to_half(value))));
        } else {
            REQUIRE(to_half(value).bits == half.bits);
        }
    }
}

TEST_CASE("Floats round to the nearest half, ties to even") {
    CHECK(to_half(1.0F).bits == 0x3C00);
    CHECK(to_half(1.0F + 0x1p-11F).bits == 0x3C00);      // tie, down to even
    CHECK(to_half(1.0F + 3 * 0x1p-11F).bits == 0x3C02);  // tie, up to even
    CHECK(to_half(1.0F + 0x1.1p-11F).bits == 0x3C01);
    CHECK(to_half(65519.0F).bits == 0x7BFF);
    CHECK(to_half(65520.0F).bits == 0x7C00);
    CHECK(to_half(0x1p-24F).bits == 1);
    CHECK(to_half(0x1p-25F).bits == 0);  // tie between 0 and the least
    CHECK(to_half(0x1.8p-24F).bits == 2);
    CHECK(to_half(-0x1p-14F).bits == 0x8400);
    CHECK(to_half(std::numeric_limits<float>::infinity()).bits == 0x7C00);
}

TEST_CASE("Floats round to the nearest bfloat16, ties to even") {
    CHECK(to_bfloat16(1.0F).bits == 0x3F80);
    CHECK(to_bfloat16(1.0F + 0x1p-8F).bits == 0x3F80);
    CHECK(to_bfloat16(1.0F + 3 * 0x1p-8F).bits == 0x3F82);
    CHECK(to_float(BFloat16{0x4049}) == 3.140625F);
    CHECK(std::isnan(to_float(to_bfloat16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("The exponential is within 2 ulp of the true one and never leaves the normal numbers") {
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-87.0F, 88.0F);
    for (int i = 0; i < 100000; ++i) {
        const float x = uniform(random);
        const double exact = std::exp(static_cast<double>(x));
        REQUIRE(std::abs(exp_f32(x) - exact) <= exact * 2.4e-7);
    }
    CHECK(exp_f32(0.0F) == 1.0F);
    CHECK(std::isnormal(exp_f32(-std::numeric_limits<float>::infinity())));
    CHECK(std::isnormal(exp_f32(std::numeric_limits<float>::infinity())));
    CHECK(std::isnormal(exp_f32(std::numeric_limits<float>::quiet_NaN())));
}

TEST_CASE("Block formats dequantize as ggml defines them") {
    std::vector<std::byte> block(34);
    const Half scale = to_half(0.5F);
    std::memcpy(block.data(), &scale, 2);
    float out[32];

    SECTION("Q8_0: d * q") {
        for (int i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(i - 16);
        dequantize_row({DType::q8_0, 1, 32, block.data()}, 0, out);
        for (int i = 0; i < 32; ++i) CHECK(out[i] == 0.5F * static_cast<float>(i - 16));
    }
    SECTION("Q4_0: d * (q - 8), low nibbles first") {
        for (int i = 0; i < 16; ++i) block[2 + i] = static_cast<std::byte>(i | (15 - i) << 4);
        dequantize_row({DType::q4_0, 1, 32, block.data()}, 0, out);
        for (int i = 0; i < 16; ++i) {
            CHECK(out[i] == 0.5F * static_cast<float>(i - 8));
            CHECK(out[16 + i] == 0.5F * static_cast<float>(7 - i));
        }
    }
    SECTION("Q4_1: d * q + m") {
        const Half minimum = to_half(-3.0F);
        std::memcpy(block.data() + 2, &minimum, 2);
        for (int i = 0; i < 16; ++i) block[4 + i] = static_cast<std::byte>(i | (15 - i) << 4);
        dequantize_row({DType::q4_1, 1, 32, block.data()}, 0, out);
        for (int i = 0; i < 16; ++i) {
            CHECK(out[i] == 0.5F * static_cast<float>(i) - 3.0F);
            CHECK(out[16 + i] == 0.5F * static_cast<float>(15 - i) - 3.0F);
        }
    }
}

TEST_CASE("A row is found by its bytes, wherever the file put it") {
    std::vector<std::byte> bytes(1 + 2 * 3 * sizeof(float));
    const float values[] = {1, 2, 3, 4, 5, 6};
    std::memcpy(bytes.data() + 1, values, sizeof values);  // not aligned
    float out[3];
    dequantize_row({DType::f32, 2, 3, bytes.data() + 1}, 1, out);
    CHECK(out[0] == 4.0F);
    CHECK(out[2] == 6.0F);
    CHECK(row_bytes(DType::q4_1, 576) == 360);
}

TEST_CASE("Rotary frequencies follow the scaling that the model names") {
    RopeSpec rope;
    const auto plain = rope_frequencies(rope, 64);
    CHECK(plain[0] == 1.0);
    CHECK(plain[16] == Approx(0.01));

    SECTION("linear divides all") {
        rope.type = RopeType::linear;
        rope.factor = 4.0;
        const auto scaled = rope_frequencies(rope, 64);
        for (std::size_t i = 0; i < plain.size(); ++i) CHECK(scaled[i] == Approx(plain[i] / 4.0));
    }
    SECTION("llama3 keeps short wavelengths and divides long ones") {
        rope = {.type = RopeType::llama3, .theta = 500000.0, .factor = 8.0, .original_max_position = 8192};
        const auto scaled = rope_frequencies(rope, 128);
        // Llama 3.1's own values, from the reference's apply_scaling() on 1 / 500000^(2i / 128).
        CHECK(scaled[0] == 1.0);
        CHECK(scaled[20] == Approx(0.01656044));
        CHECK(scaled[63] == Approx(2.4551407e-06 / 8.0).epsilon(1e-4));
    }
    SECTION("yarn keeps pairs that turn often and divides slow ones") {
        rope = {.type = RopeType::yarn, .theta = 10000.0, .factor = 4.0, .original_max_position = 4096};
        const auto scaled = rope_frequencies(rope, 64);
        CHECK(scaled[0] == plain[0]);
        CHECK(scaled[31] == Approx(plain[31] / 4.0));
        CHECK(scaled[16] < plain[16]);
        CHECK(scaled[16] > plain[16] / 4.0);
    }
    SECTION("dynamic stretches by the length, and not within the original context") {
        rope = {.type = RopeType::dynamic, .factor = 2.0, .original_max_position = 100};
        CHECK(rope_frequencies(rope, 64, 100) == plain);
        const auto scaled = rope_frequencies(rope, 64, 200);
        CHECK(scaled[0] == 1.0);
        CHECK(scaled[31] == Approx(plain[31] / 3.0));  // (2 * 200 / 100 - 1) at the longest wavelength
        CHECK(rope_dependence({RopeSpec(), rope}, 100).empty());
        CHECK_FALSE(rope_dependence({RopeSpec(), rope}, 101).empty());
        CHECK(rope_dependence({rope}, 101) != rope_dependence({rope}, 102));
    }
    SECTION("longrope has two sets, and the prompt's length decides") {
        rope = {.type = RopeType::longrope, .original_max_position = 100};
        CHECK(rope_dependence({rope}, 100).empty());
        CHECK_FALSE(rope_dependence({rope}, 101).empty());
        CHECK(rope_dependence({rope}, 101) == rope_dependence({rope}, 900));
        rope.type = RopeType::yarn;
        CHECK(rope_dependence({rope}, 900).empty());
    }
    SECTION("a part of a head") {
        rope.rotated = 32;
        CHECK(rope_frequencies(rope, 64).size() == 16);
        CHECK(rope_frequencies(rope, 64)[8] == Approx(0.01));
    }
    SECTION("a file's factors divide each") {
        rope.divisors.assign(32, 1.0F);
        rope.divisors[3] = 2.0F;
        CHECK(rope_frequencies(rope, 64)[3] == Approx(plain[3] / 2.0));
    }
}

TEST_CASE("The table of angles grows without changing what it has") {
    RopeTable table(RopeSpec(), 8);
    table.grow(10);
    const std::vector<float> before(table.cosines(9), table.cosines(9) + 4);
    table.grow(1000);
    CHECK(std::equal(before.begin(), before.end(), table.cosines(9)));
    CHECK(table.size() >= 1000);
    CHECK(table.cosines(999)[0] == Approx(std::cos(999.0)));
    CHECK(table.sines(0)[2] == 0.0F);
}

TEST_CASE("Angles depend on the length of a sequence's prompt, however it is cut") {
    RopeSpec rope{.type = RopeType::longrope, .original_max_position = 4};
    rope.divisors.assign(4, 1.0F);
    rope.long_divisors.assign(4, 2.0F);
    const auto angle = [&](std::int32_t position, std::int32_t prompt) {
        RopeAngles angles(rope, 8);
        ForwardBatch batch;
        batch.positions = {position};
        batch.query_start = {0, 1};
        batch.context_lens = {position + 1};
        batch.prompt_lens = {prompt};
        angles.begin(batch);
        return std::vector<float>(angles.of(0).sines, angles.of(0).sines + 4);
    };
    CHECK(angle(2, 4) == angle(2, 3));
    CHECK(angle(2, 5) != angle(2, 4));
    CHECK(angle(1, 5)[0] == Approx(std::sin(0.5)));
    CHECK(angle(6, 4)[0] == Approx(std::sin(6.0)));  // goes on with its prompt's
    rope = {.type = RopeType::dynamic, .factor = 2.0, .original_max_position = 4};
    CHECK(angle(3, 4) == angle(3, 1));
    CHECK(angle(3, 6) != angle(3, 4));
    CHECK(angle(7, 4) == angle(7, 8));  // a generated token: its length counts
}

}  // namespace troupe
