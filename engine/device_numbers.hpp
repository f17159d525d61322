// Well-known devices as numbers, from their data sheets.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "engine/roofline.hpp"

namespace troupe {

// By name, in either case: "h200". `eight_bit` computes in 8 bits where the device can. Nothing if it is not
// known.
std::optional<DeviceNumbers> find_device(std::string_view name, bool eight_bit);
std::string device_names();  // all, for messages

}  // namespace troupe
