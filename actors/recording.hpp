// Recordings of schedulers in a file: written while a server runs, read to be replayed.
//
// The file begins with a line that names the format's version; then come frames: a length (4 bytes, little
// endian), a kind, the number of the scheduler (4 bytes), and a value as CAF's binary serializer writes it.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/status.hpp"
#include "engine/replay.hpp"

namespace troupe {

// Takes what schedulers tell it and writes it from a thread of its own. Nobody waits for the disk: when it is
// too slow and the memory for what waits is full, or when it takes no more, the recording ends there with a
// warning, and says so in the file where it can. Any thread may call.
class Recorder {
  public:
    static Result<std::shared_ptr<Recorder>> create(const std::string& path,
                                                    std::size_t max_waiting_bytes = 64U << 20);
    ~Recorder();  // writes what waits
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    // A new scheduler; its number for the other calls.
    std::uint32_t begin(const std::string& model, const SchedulerOptions& options);
    void event(std::uint32_t scheduler, const Event& event);
    void outcome(std::uint32_t scheduler, const PolicyOutcome& outcome);
    void plan(std::uint32_t scheduler, const StepPlan& plan);

  private:
    Recorder(std::FILE* file, std::string path, std::size_t max_waiting_bytes);
    void append(std::uint8_t kind, std::uint32_t scheduler, const std::vector<char>& value);
    void write();

    std::FILE* file_;
    std::string path_;
    std::size_t max_waiting_bytes_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<char> waiting_;  // frames
    std::uint32_t schedulers_ = 0;
    bool stopped_ = false;  // nothing is recorded any more
    bool ending_ = false;
    std::thread writer_;
};

// Asks `inner`, and records its answers.
class RecordedPort final : public PolicyPort {
  public:
    RecordedPort(PolicyPort& inner, Recorder& recorder, std::uint32_t scheduler)
        : inner_(inner), recorder_(recorder), scheduler_(scheduler) {}
    PolicyOutcome decide(const PolicyView& view) override {
        PolicyOutcome outcome = inner_.decide(view);
        recorder_.outcome(scheduler_, outcome);
        return outcome;
    }
    void on_event(const PolicyEvent& event) override { inner_.on_event(event); }

  private:
    PolicyPort& inner_;
    Recorder& recorder_;
    std::uint32_t scheduler_;
};

struct Recording {
    std::vector<RecordedScheduler> schedulers;
    std::string fault;  // why it ends before its end, or empty: truncated, or given up while recording
};

bool is_recording(const std::string& path);
// An error if it is none, of another version, or malformed; one with a fault is read as far as it goes,
// without each scheduler's last event, for its answers or plans may be missing.
Result<Recording> read_recording(const std::string& path);

}  // namespace troupe
