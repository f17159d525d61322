// What of CAF this room uses beyond its plain calls, so that moving to CAF 1.x changes few places.
#pragma once
#include <sys/resource.h>

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

// A detached actor's thread gives way to the compute threads where they share a core: woken by a step's
// result, the scheduler otherwise takes the worker's core just when the next step is to begin
// (docs/benchmarks.md).
template <class Self>
void give_way_to_compute(Self* self) {
    constexpr int niceness = 5;
    if (self->getf(caf::abstract_actor::is_detached_flag))
        setpriority(PRIO_PROCESS, 0, niceness);  // of this thread
}

}  // namespace troupe
