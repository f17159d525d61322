// Values as people write them in flags, in the environment and in the configuration file. Each function
// either returns the value or an Error whose message says what is allowed; the caller adds where the text
// came from.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.hpp"
#include "core/status.hpp"

namespace troupe {

// A whole number in [low, high], digits only.
Result<std::uint64_t> parse_integer(std::string_view text, std::uint64_t low, std::uint64_t high);

// A number of bytes: "1073741824", "512MiB", "1.5GB". KB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB
// of 1024, and so are K, M, G, T alone. Letters in either case.
Result<std::uint64_t> parse_size(std::string_view text);

// A time in milliseconds, at most 30 days: "500ms", "30s", "10m", "2h"; a bare number is in seconds.
Result<std::uint32_t> parse_duration(std::string_view text);

// "PATH", or "NAME=PATH" once or several times, separated by line feeds or commas. A NAME is made of letters,
// digits and "._-/:", and begins with a letter or digit; names differ.
Result<std::vector<ModelSource>> parse_models(std::string_view text);

// "NAME" or "MODEL=NAME", once or several times, separated by line feeds or commas.
Result<std::vector<ServedName>> parse_served_names(std::string_view text);

// "worker:throw@step=K[,every=N][,model=NAME]"; empty: none.
Result<FaultInjection> parse_fault_injection(std::string_view text);

// Whether a browser can send that as its header Origin ("https://example.org", "http://[::1]:3000", "null":
// RFC 6454, 6.2), or it is "*". Capitals, a path and the scheme's own port are never in there.
bool is_origin(std::string_view text);

// "8 MiB", "1.5 GiB": with the largest binary unit that leaves at least 1.
std::string format_size(std::uint64_t bytes);
// "30s", "500ms", "10m": the largest unit that leaves a whole number; parse_duration reads it.
std::string format_duration(std::uint32_t milliseconds);

}  // namespace troupe
