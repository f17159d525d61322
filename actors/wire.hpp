// How values that CAF must not serialize by itself cross nodes: floats as their bits (an infinity hangs CAF's
// serializer, a NaN becomes 1), id vectors as one run of bytes (ten times faster than element by element),
// optionals and enums. Used inside inspect() functions: `auto t = wire::f32(x.temperature); return f(..., t,
// ...)`.
#pragma once
#include <bit>
#include <caf/error.hpp>
#include <caf/meta/load_callback.hpp>
#include <caf/meta/omittable.hpp>
#include <caf/meta/type_name.hpp>
#include <caf/sec.hpp>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>
#include <vector>

namespace troupe::wire {

struct F32 {
    float* value;
};

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, F32& x) {
    auto bits = std::bit_cast<std::uint32_t>(*x.value);
    return f(bits, caf::meta::load_callback([&]() -> caf::error {
                 *x.value = std::bit_cast<float>(bits);
                 return caf::none;
             }));
}

template <class T>
struct Opt {
    std::optional<T>* value;
};

template <class Inspector, class T>
typename Inspector::result_type inspect(Inspector& f, Opt<T>& x) {
    auto present = x.value->has_value();
    auto store = [&](T inner) -> caf::error {
        if (present) {
            *x.value = std::move(inner);
        } else {
            x.value->reset();
        }
        return caf::none;
    };
    auto inner = x.value->value_or(T{});
    if constexpr (std::is_same_v<T, float>) {
        F32 bits{&inner};
        return f(present, bits, caf::meta::load_callback([&] { return store(inner); }));
    } else {
        return f(present, inner, caf::meta::load_callback([&] { return store(inner); }));
    }
}

template <class Integer>
struct Run {
    std::vector<Integer>* value;
};

template <class Inspector, class Integer>
typename Inspector::result_type inspect(Inspector& f, Run<Integer>& x) {
    static_assert(std::is_integral_v<Integer>);
    std::vector<char> bytes(x.value->size() * sizeof(Integer));
    if (!bytes.empty()) std::memcpy(bytes.data(), x.value->data(), bytes.size());
    return f(bytes, caf::meta::load_callback([&]() -> caf::error {
                 if (bytes.size() % sizeof(Integer) != 0) return caf::sec::invalid_argument;
                 x.value->resize(bytes.size() / sizeof(Integer));
                 if (!bytes.empty()) std::memcpy(x.value->data(), bytes.data(), bytes.size());
                 return caf::none;
             }));
}

// An enum with values 0 .. last: anything else on the wire is refused.
template <class Enum>
struct Enumerated {
    Enum* value;
    Enum last;
};

template <class Inspector, class Enum>
typename Inspector::result_type inspect(Inspector& f, Enumerated<Enum>& x) {
    auto number = static_cast<std::uint8_t>(*x.value);
    return f(number, caf::meta::load_callback([&]() -> caf::error {
                 if (number > static_cast<std::uint8_t>(x.last)) return caf::sec::invalid_argument;
                 *x.value = static_cast<Enum>(number);
                 return caf::none;
             }));
}

inline F32 f32(float& value) { return {&value}; }
template <class T>
Opt<T> opt(std::optional<T>& value) {
    return {&value};
}
template <class Integer>
Run<Integer> run(std::vector<Integer>& value) {
    return {&value};
}
template <class Enum>
Enumerated<Enum> enumerated(Enum& value, Enum last) {
    return {&value, last};
}

}  // namespace troupe::wire
