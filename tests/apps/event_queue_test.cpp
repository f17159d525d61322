#include "apps/event_queue.hpp"

#include <thread>

#include "tests/catch.hpp"

using namespace troupe;

TEST_CASE("events are taken in the order in which another thread delivered them") {
    constexpr std::uint64_t count = 1000;
    EventQueue queue;
    std::thread producer([&] {
        for (std::uint64_t i = 0; i < count; ++i) queue.deliver(TextEvent{i, "x", 1});
    });
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto event = queue.next(std::chrono::hours(1));
        REQUIRE(event.has_value());
        CHECK(std::get<TextEvent>(*event).index == i);
    }
    producer.join();
    CHECK_FALSE(queue.next(std::chrono::milliseconds(0)).has_value());
}
