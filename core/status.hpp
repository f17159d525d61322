// Expected failures are values: Result<T> holds a T or an Error whose message tells the user what to do.
#pragma once
#include <string>
#include <utility>
#include <variant>

namespace troupe {

enum class ErrorCode : unsigned char {
    invalid_argument,    // 400: the caller's input is wrong; `param` names the field
    unauthenticated,     // 401
    not_found,           // 404
    timed_out,           // 408
    too_large,           // 413
    resource_exhausted,  // 429: a bound was reached, try again later
    cancelled,           // 499
    internal,            // 500
    unavailable,         // 503: loading or draining
};

struct Error {
    ErrorCode code = ErrorCode::internal;
    std::string message;  // complete sentence: what is wrong, what is allowed
    std::string param;    // the field or flag at fault, or empty
    std::string tag;      // machine-readable code such as "context_length_exceeded", or empty

    bool operator==(const Error&) const = default;
};

inline Error invalid_argument(std::string message, std::string param = {}, std::string tag = {}) {
    return {ErrorCode::invalid_argument, std::move(message), std::move(param), std::move(tag)};
}
inline Error not_found(std::string message, std::string param = {}) {
    return {ErrorCode::not_found, std::move(message), std::move(param), {}};
}
inline Error internal_error(std::string message) { return {ErrorCode::internal, std::move(message), {}, {}}; }

// Either a value or an Error. Converts from both, so that functions return whichever they have.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    bool ok() const { return state_.index() == 0; }
    explicit operator bool() const { return ok(); }

    // Precondition: ok().
    T& value() & { return std::get<0>(state_); }
    const T& value() const& { return std::get<0>(state_); }
    T&& value() && { return std::get<0>(std::move(state_)); }
    T& operator*() & { return value(); }
    const T& operator*() const& { return value(); }
    T&& operator*() && { return std::move(*this).value(); }
    T* operator->() { return &value(); }
    const T* operator->() const { return &value(); }

    // Precondition: !ok().
    const Error& error() const& { return std::get<1>(state_); }
    Error&& error() && { return std::get<1>(std::move(state_)); }

  private:
    std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)), ok_(false) {}
    bool ok() const { return ok_; }
    explicit operator bool() const { return ok_; }
    const Error& error() const { return error_; }

  private:
    Error error_;
    bool ok_ = true;
};

using Status = Result<void>;

}  // namespace troupe
