// What of CAF this room uses beyond its plain calls, so that moving to CAF 1.x changes few places.
#pragma once
#include <caf/all.hpp>
#include <chrono>
#include <exception>
#include <string>

#include "core/ids.hpp"

namespace troupe {

// An actor that throws dies, as it should, with what it threw as its exit reason; its supervisor logs that.
// (By default CAF writes to stderr and drops the text.)
template <class Self>
void exit_with_exceptions(Self* self) {
    self->set_exception_handler([](std::exception_ptr& pointer) -> caf::error {
        try {
            std::rethrow_exception(pointer);
        } catch (const std::exception& e) {
            return caf::make_error(caf::sec::runtime_error, std::string(e.what()));
        } catch (...) {
            return caf::make_error(caf::sec::runtime_error, std::string("an exception of an unknown type"));
        }
    });
}

// The actors' one clock: virtual under test.
template <class Self>
TimeUs now_us(Self* self) {
    auto time = self->clock().now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

}  // namespace troupe
