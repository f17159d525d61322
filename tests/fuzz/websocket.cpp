// Messages of the Responses WebSocket mode, one a line, against a port that answers at once. Whatever they
// are, each answer is one JSON object, and at the end nothing is left running.
#include <cstdlib>
#include <deque>

#include "net/response_lanes.hpp"
#include "tests/net/fake_port.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

void expect(bool condition) {
    if (!condition) std::abort();
}

class Connection {
  public:
    Connection()
        : api_{config_,
               port_,
               [] { return std::int64_t{1700000000}; },
               [](const RequestLog&) {},
               [] { return std::uint64_t{1}; },
               [] { return Status(); },
               {},
               BodyBudget(1 << 20),
               {},
               {}} {
        port_.on_submit = FakePort::script({"Hello", ", ", "<think>world"});
        const Post post = [this](std::function<void()> work) { work_.push_back(std::move(work)); };
        const auto wake = [this] { work_.push_back([this] { produce(); }); };
        lanes_ =
            std::make_shared<ResponseLanes>(api_, LaneHooks{post, wake, [] {}, post}, "req_1", ApiKeyPtr());
    }
    ~Connection() { lanes_->close(); }

    void receive(std::string_view message) {
        lanes_->receive(message);
        produce();
        for (int turns = 0; !work_.empty(); ++turns) {
            expect(turns < 10000);
            const auto work = std::move(work_.front());
            work_.pop_front();
            work();
        }
    }

  private:
    void produce() {
        std::vector<std::string> out;
        lanes_->produce(out);
        for (const std::string& message : out) {
            const auto document = parse_json(message);
            expect(document.ok() && (*document)->root.is_object());
        }
    }

    ServerConfig config_;
    FakePort port_;
    Api api_;
    std::deque<std::function<void()>> work_;
    std::shared_ptr<ResponseLanes> lanes_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text(reinterpret_cast<const char*>(data), size);
    Connection connection;
    for (int messages = 0; !text.empty() && messages < 64; ++messages) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        connection.receive(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return 0;
}
