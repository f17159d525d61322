#include "policies/length_predictor.hpp"

#include "tests/catch.hpp"

namespace troupe {
namespace {

TEST_CASE("lengths: nothing is known in the beginning, half of what is allowed is the guess") {
    const LengthPredictor predictor;
    CHECK(predictor.remaining(1, 10, 0, 100) == 50);
    CHECK(predictor.remaining(1, 10, 60, 100) == 20);
    CHECK(predictor.remaining(1, 10, 100, 100) == 1);
}

TEST_CASE("lengths: a tenant and a prompt length that were seen often speak for themselves") {
    LengthPredictor predictor;
    for (int i = 0; i < 20; ++i) {
        predictor.observe(1, 10, 20);
        predictor.observe(2, 10, 200);
        predictor.observe(1, 1000, 7);
    }
    CHECK(predictor.remaining(1, 9, 0, 1000) == Approx(20));  // 8 to 15 are one class
    CHECK(predictor.remaining(2, 15, 0, 1000) == Approx(200));
    CHECK(predictor.remaining(1, 1023, 0, 1000) == Approx(7));
    // Another tenant: as all with such prompts.
    CHECK(predictor.remaining(3, 10, 0, 1000) == Approx(110).epsilon(0.05));
    CHECK(predictor.remaining(3, 100000, 0, 1000) == Approx(75).epsilon(0.1));
    CHECK(predictor.remaining(2, 10, 0, 50) == 50);  // no more than is allowed
}

TEST_CASE("lengths: who has got far is expected to go farther") {
    LengthPredictor predictor;
    for (int i = 0; i < 50; ++i) {
        predictor.observe(1, 10, 4);
        predictor.observe(1, 10, 400);
    }
    CHECK(predictor.remaining(1, 10, 0, 1000) == Approx(202).epsilon(0.05));
    CHECK(predictor.remaining(1, 10, 10, 1000) == Approx(390).epsilon(0.02));  // the short ones are over
    CHECK(predictor.remaining(1, 10, 500, 2000) == 500);                       // longer than any before
}

TEST_CASE("lengths: what is new counts at once, and old observations fade") {
    LengthPredictor predictor;
    for (int i = 0; i < 500; ++i) predictor.observe(1, 10, 1000);
    CHECK(predictor.remaining(1, 10, 0, 5000) == Approx(1000));
    for (int i = 0; i < 500; ++i) predictor.observe(1, 10, 10);
    CHECK(predictor.remaining(1, 10, 0, 5000) < 20);
}

}  // namespace
}  // namespace troupe
