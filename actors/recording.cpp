#include "actors/recording.hpp"

#include <spdlog/spdlog.h>

#include <caf/all.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "actors/inspect_recording.hpp"

namespace troupe {
namespace {

constexpr std::string_view family = "troupe-recording ", magic = "troupe-recording 1\n";
constexpr std::size_t header_bytes = 4 + 1 + 4;  // length, kind, scheduler
constexpr std::size_t longest_frame = 1U << 30;

enum Kind : std::uint8_t {
    begin_kind,
    event_kind,
    decision_kind,
    rejected_kind,
    plan_kind,
    gap_kind,
    end_kind
};

template <class... Values>
std::vector<char> to_bytes(const Values&... values) {
    std::vector<char> bytes;
    caf::binary_serializer sink(nullptr, bytes);
    (sink(const_cast<Values&>(values)), ...);  // inspectors take what they only read by reference, too
    return bytes;
}

template <class... Values>
bool from_bytes(const char* data, std::size_t size, Values&... values) {
    caf::binary_deserializer source(nullptr, data, size);
    return !source(values...) && source.remaining() == 0;
}

void append_u32(std::vector<char>& bytes, std::uint32_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(value >> shift & 0xFFU));
}
std::uint32_t read_u32(const char* bytes) {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return value;
}

// An event is its index in the variant and its fields.
template <std::size_t I = 0>
bool read_event(std::uint8_t index, const char* data, std::size_t size, Event& event) {
    if constexpr (I == std::variant_size_v<Event>) {
        return false;
    } else {
        if (index != I) return read_event<I + 1>(index, data, size, event);
        return from_bytes(data, size, event.emplace<I>());
    }
}

class Reader {
  public:
    Reader(std::string path, std::string bytes) : path_(std::move(path)), bytes_(std::move(bytes)) {}

    Result<Recording> read() {
        if (!bytes_.starts_with(family)) return fail("is no recording of troupe serve --record");
        if (!bytes_.starts_with(magic))
            return fail("is a recording of another version; this one reads version 1");
        bool ended = false;
        for (at_ = magic.size(); at_ < bytes_.size() && recording_.fault.empty();) {
            if (bytes_.size() - at_ < header_bytes) return truncated();
            const std::size_t length = read_u32(bytes_.data() + at_);
            if (length > longest_frame || length < header_bytes - 4) return fail("is malformed" + place());
            if (bytes_.size() - at_ - 4 < length) return truncated();
            if (!is_sound(bytes_.data() + at_ + 4, length, ended)) return fail("is malformed" + place());
            at_ += 4 + length;
        }
        if (!ended && recording_.fault.empty()) return truncated();
        if (!recording_.fault.empty()) drop_last_events();
        return std::move(recording_);
    }

  private:
    Error fail(const std::string& what) const { return invalid_argument(path_ + " " + what, "--replay"); }
    std::string place() const { return " at byte " + std::to_string(at_); }
    Recording truncated() {
        recording_.fault = path_ + " is truncated" + place() + ": the server was killed, or the file was cut";
        drop_last_events();
        return std::move(recording_);
    }
    // What came of them may be missing.
    void drop_last_events() {
        for (RecordedScheduler& scheduler : recording_.schedulers)
            if (!scheduler.events.empty()) scheduler.events.pop_back();
    }

    // Lengths that a broken file claims can be more than there is memory for.
    bool is_sound(const char* frame, std::size_t length, bool& ended) {
        try {
            return take_frame(frame, length, ended);
        } catch (const std::exception&) {
            return false;
        }
    }

    bool take_frame(const char* frame, std::size_t length, bool& ended) {
        const auto kind = static_cast<std::uint8_t>(frame[0]);
        const std::uint32_t number = read_u32(frame + 1);
        const char* data = frame + 5;
        const std::size_t size = length - 5;
        ended = kind == end_kind;
        if (kind == end_kind) return true;
        if (kind == gap_kind) {
            recording_.fault = path_ + ": the recording was given up" + place() + ": the disk was too slow";
            return true;
        }
        if (kind == begin_kind) {
            RecordedScheduler& scheduler = recording_.schedulers.emplace_back();
            return number == recording_.schedulers.size() - 1 &&
                   from_bytes(data, size, scheduler.model, scheduler.options);
        }
        if (number >= recording_.schedulers.size()) return false;
        std::vector<RecordedEvent>& events = recording_.schedulers[number].events;
        if (kind == event_kind) {
            return size > 0 && read_event(static_cast<std::uint8_t>(data[0]), data + 1, size - 1,
                                          events.emplace_back().event);
        }
        if (events.empty()) return false;
        if (kind == plan_kind) return from_bytes(data, size, events.back().plans.emplace_back());
        PolicyOutcome& outcome = events.back().outcomes.emplace_back();
        if (kind == decision_kind) return from_bytes(data, size, outcome.emplace<Decision>());
        return kind == rejected_kind && from_bytes(data, size, outcome.emplace<Rejected>());
    }

    std::string path_, bytes_;
    std::size_t at_ = 0;
    Recording recording_;
};

}  // namespace

Result<std::shared_ptr<Recorder>> Recorder::create(const std::string& path, std::size_t max_waiting_bytes) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    if (file == nullptr) {
        return invalid_argument("--record: cannot write the file " + path + ": " + std::strerror(errno),
                                "--record");
    }
    std::fwrite(magic.data(), 1, magic.size(), file);
    return std::shared_ptr<Recorder>(new Recorder(file, path, max_waiting_bytes));
}

Recorder::Recorder(std::FILE* file, std::string path, std::size_t max_waiting_bytes)
    : file_(file),
      path_(std::move(path)),
      max_waiting_bytes_(max_waiting_bytes),
      writer_([this] { write(); }) {}

Recorder::~Recorder() {
    append(end_kind, 0, {});
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    wake_.notify_one();
    writer_.join();
    std::fclose(file_);
}

std::uint32_t Recorder::begin(const std::string& model, const SchedulerOptions& options) {
    std::uint32_t number = 0;
    {
        const std::lock_guard lock(mutex_);
        number = schedulers_++;
    }
    append(begin_kind, number, to_bytes(model, options));
    return number;
}

void Recorder::event(std::uint32_t scheduler, const Event& event) {
    std::vector<char> bytes{static_cast<char>(event.index())};
    const std::vector<char> fields = std::visit([](const auto& e) { return to_bytes(e); }, event);
    bytes.insert(bytes.end(), fields.begin(), fields.end());
    append(event_kind, scheduler, bytes);
}

void Recorder::outcome(std::uint32_t scheduler, const PolicyOutcome& outcome) {
    const std::uint8_t kind = std::holds_alternative<Decision>(outcome) ? decision_kind : rejected_kind;
    append(kind, scheduler, std::visit([](const auto& o) { return to_bytes(o); }, outcome));
}

void Recorder::plan(std::uint32_t scheduler, const StepPlan& plan) {
    append(plan_kind, scheduler, to_bytes(plan));
}

void Recorder::append(std::uint8_t kind, std::uint32_t scheduler, const std::vector<char>& value) {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    const bool full = waiting_.size() + value.size() > max_waiting_bytes_ && kind != end_kind;
    if (full) {
        spdlog::warn("--record: {} cannot be written as fast as the server runs; the recording ends here",
                     path_);
        stopped_ = true;
        kind = gap_kind;
    }
    append_u32(waiting_, static_cast<std::uint32_t>(header_bytes - 4 + (full ? 0 : value.size())));
    waiting_.push_back(static_cast<char>(kind));
    append_u32(waiting_, scheduler);
    if (!full) waiting_.insert(waiting_.end(), value.begin(), value.end());
    wake_.notify_one();
}

void Recorder::write() {
    std::unique_lock lock(mutex_);
    for (;;) {
        wake_.wait(lock, [this] { return !waiting_.empty() || ending_; });
        if (waiting_.empty()) return;
        std::vector<char> frames;
        frames.swap(waiting_);
        lock.unlock();
        const bool written =
            std::fwrite(frames.data(), 1, frames.size(), file_) == frames.size() && std::fflush(file_) == 0;
        lock.lock();
        if (written) continue;
        if (!stopped_)
            spdlog::warn("--record: {} takes no more ({}); the recording ends here", path_,
                         std::strerror(errno));
        stopped_ = true;
        waiting_.clear();
    }
}

bool is_recording(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string beginning(family.size(), '\0');
    file.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
    return file && beginning == family;
}

Result<Recording> read_recording(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return not_found("cannot read the file " + path, "--replay");
    std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return Reader(path, std::move(bytes)).read();
}

}  // namespace troupe
