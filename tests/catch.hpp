// One include for Catch2 2 (Debian 12) and 3 (Debian 13).
#pragma once
#ifdef TROUPE_CATCH2_V3
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
