// A whole actor system in one thread under virtual time, with a seeded message schedule.
#pragma once
#include <algorithm>
#include <caf/detail/test_actor_clock.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <random>

#include "actors/messages.hpp"

namespace troupe {

struct SimulationConfig : caf::actor_system_config {
    SimulationConfig() {
        add_message_types<caf::id_block::troupe>();
        set("scheduler.policy", caf::atom("testing"));
    }
};

class Simulation {
  public:
    // Seed 0: actors run in the order in which they became ready. Others: a random ready actor each time.
    explicit Simulation(std::uint64_t seed = 0)
        : coordinator_(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())),
          random_(seed),
          seed_(seed) {}
    ~Simulation() { run(); }

    // One message of one actor. False: nothing to do.
    bool step() {
        if (!coordinator_.has_job()) return false;
        auto& jobs = coordinator_.jobs;
        if (seed_ != 0 && jobs.size() > 1) {
            auto first = static_cast<std::ptrdiff_t>(random_() % jobs.size());
            std::rotate(jobs.begin(), jobs.begin() + first, jobs.begin() + first + 1);
        }
        coordinator_.run_once();
        return true;
    }

    // Until nobody has anything to do; time stands still.
    void run() {
        while (step()) {
        }
    }

    // Lets time pass, firing timers one at a time in their order.
    void advance(std::chrono::milliseconds duration) {
        auto& clock = coordinator_.clock();
        auto end = clock.current_time + duration;
        run();
        while (clock.has_pending_timeout() && clock.schedule().begin()->first <= end) {
            clock.current_time = std::max(clock.current_time, clock.schedule().begin()->first);
            clock.trigger_timeout();
            run();
        }
        clock.current_time = end;
    }

  private:
    SimulationConfig config_;

  public:
    caf::actor_system system{config_};

  private:
    caf::scheduler::test_coordinator& coordinator_;
    std::mt19937_64 random_;
    std::uint64_t seed_;
};

}  // namespace troupe
