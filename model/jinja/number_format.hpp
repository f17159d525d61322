// Numbers and padding for the % operator and str.format, which share them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "model/jinja/runtime.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

struct NumberFormat {
    char conversion = 'd';   // d x X o b for integers; e E f F g G for floats
    int precision = -1;      // of floats; 6 when negative
    bool alternate = false;  // prefix 0x and the like, and always a decimal point
    char group = '\0';       // ',' or '_' between thousands
};

// Width and precision of a format, checked against what is sensible.
int parse_width(std::string_view digits);

// Of the absolute value; the sign is the caller's.
std::string format_integer(int64_t value, const NumberFormat& format);
std::string format_float(double value, const NumberFormat& format);

// Separators in the digits before `whole`, in groups of `size`.
std::string grouped(const std::string& digits, size_t whole, char separator, size_t size = 3);

// Filled to the width in code points. Alignment: '<', '>', '^', or '=' (fill between the sign and the
// digits).
std::string pad(Runtime& runtime, std::string_view sign, std::string_view text, int width,
                std::string_view fill, char alignment);

int64_t integer_of(const Value& value, const char* where);  // from bool and int; fails on others
double float_of(const Value& value, const char* where);     // from bool, int and float; fails on others

}  // namespace troupe::jinja
