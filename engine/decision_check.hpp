// Policies decide, the engine enforces: what a decision must satisfy to be carried out.
#pragma once
#include <optional>
#include <string>

#include "engine/policy_port.hpp"

namespace troupe {

// Why `decision` is nonsense for `view`, or nothing if it is sound:
//   - every index exists; no sequence has two rows, is a victim twice or shed twice, or is two of these
//   - a row has at least one token and no more than its sequence has to compute; none for a sequence about to
//   end
//   - the token budget and the limit of running sequences hold
//   - victims are running, and the oldest running sequence is one only if a row goes to one of higher
//   priority; their actions are known ones
//   - only sequences that wait, never ran and have generated nothing are shed
// Blocks are not checked here: rows that do not fit are left out of the step.
std::optional<std::string> find_fault(const PolicyView& view, const Decision& decision);

}  // namespace troupe
