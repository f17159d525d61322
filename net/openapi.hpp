// What the build knows: net/openapi.json with this version in it, and the version. openapi.cpp.in is what
// CMake makes them from.
#pragma once
#include <string_view>

namespace troupe::net {

std::string_view openapi_document();
std::string_view program_version();

}  // namespace troupe::net
