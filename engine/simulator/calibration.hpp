// From measured steps to a cost model. Pure arithmetic; apps measure.
#pragma once
#include <vector>

#include "engine/simulator/recorded_steps.hpp"
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

// Corrects costs that were measured alone by the steps of a server at work, whose other threads and clients
// share its cores: what steps of decodes alone took more or less goes to the drawing of so many tokens, what
// steps with parts of prompts took to the tokens beyond the most of decodes, as a factor. Kinds of steps that
// hardly occur are left as they are.
void correct_costs(CalibratedOptions& costs, const std::vector<RecordedStep>& steps);

// Between the end of a step and the start of one that was planned before: the mean. 0: there is none.
double mean_gap_us(const std::vector<RecordedStep>& steps);

}  // namespace troupe
