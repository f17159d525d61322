// From measured steps to a cost model. Pure arithmetic; apps measure.
#pragma once
#include <vector>

#include "engine/simulator/step_costs.hpp"

namespace troupe {

struct MeasuredStep {
    StepFeatures features;
    double us = 0;
};

// What was measured, each step of rows that are all alike.
struct Measurements {
    std::vector<MeasuredStep> chunks;  // one row from position 0 that draws nothing; tokens ascending
    std::vector<MeasuredStep>
        later_chunks;                   // the same beginning at a later position, with tokens of `chunks`
    std::vector<MeasuredStep> decodes;  // rows of one token that draw, at a short context; rows ascending
    std::vector<MeasuredStep> long_decodes;  // the same at longer contexts, with rows of `decodes`
};

// Least squares for what context costs, and what remains as curves.
CalibratedOptions fit_costs(const Measurements& measured);

}  // namespace troupe
