// Names of things, shared by every room. Plain integers, so that they travel and compare cheaply.
#pragma once
#include <cstdint>

namespace troupe {

using TokenId = std::int32_t;      // index into a model's vocabulary
using SequenceId = std::uint64_t;  // one generated continuation; unique in a process, never reused
using BlockId = std::int32_t;      // index of a KV block in a replica's pool
using Epoch = std::uint64_t;   // incarnation of a replica's worker group, numbered by the supervisor from 1
using StepId = std::uint64_t;  // step of a replica, from 1, never reset
using TimeUs = std::int64_t;   // microseconds on a monotonic clock; the pure rooms get it with each event

inline constexpr TokenId no_token = -1;  // in a token's place: the logits were not finite, none was drawn

}  // namespace troupe
