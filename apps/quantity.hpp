// Numbers with units as planners write them: "80GB", "2TB/s", "400Gbit/s", "989TFLOPS", "50ms", "7B".
// Everything is a double in the base unit. Errors begin with the flag and say what is allowed.
#pragma once
#include <string>
#include <string_view>

#include "core/status.hpp"

namespace troupe {

// Bytes. KB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of 1024. The unit must be there; a small b is
// refused, since it may mean bits.
Result<double> parse_bytes(std::string_view text, const std::string& flag);
// Bytes per second: a size and "/s", or bits as "Gbit/s". The unit must be there; "Gb/s" is refused, since it
// may mean either.
Result<double> parse_rate(std::string_view text, const std::string& flag);
// Operations per second: "989TFLOPS", "989TFLOP/s", "9.89e14".
Result<double> parse_flops(std::string_view text, const std::string& flag);
// Seconds; the unit (us, ms, s) must be there.
Result<double> parse_seconds(std::string_view text, const std::string& flag);
// A count: "7e9", "7B", "135M".
Result<double> parse_count(std::string_view text, const std::string& flag);
// A count that is whole and at least 1.
Result<double> parse_whole(std::string_view text, const std::string& flag);
// Bytes of one number of a type: f32, f16, bf16, f8, int8, int4, and GGUF's block formats with their scales.
Result<double> parse_dtype(std::string_view name, const std::string& flag);
// Whether products of this type run at the rate of 8-bit numbers.
bool is_eight_bit(std::string_view dtype);

}  // namespace troupe
