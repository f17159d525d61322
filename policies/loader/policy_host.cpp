#include "policies/loader/policy_host.hpp"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/policy_port.hpp"
#include "policies/loader/make_policy.hpp"
#include "policies/loader/policy_pipe.hpp"

namespace troupe {
namespace {

constexpr std::size_t max_message = std::size_t{1} << 30;
constexpr PipeDeadline never = PipeDeadline::max();

// Nobody waits for a policy's answer any more: it may be in an endless loop, so another thread looks.
void end_with_the_other_side(int socket) {
    std::thread([socket] {
        for (;;) {
            pollfd entry{socket, POLLRDHUP, 0};
            if (poll(&entry, 1, -1) > 0 && (entry.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) _exit(0);
        }
    }).detach();
}

template <class T>
void append_array(std::string& buffer, const std::vector<T>& values) {
    buffer.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string flat(const PolicyOutcome& outcome) {
    std::string content;
    if (const auto* rejected = std::get_if<Rejected>(&outcome)) {
        content.append(bytes_of(PipeDecision{.rejected = 1}));
        return content + rejected->reason.substr(0, 400);
    }
    const auto& decision = std::get<Decision>(outcome);
    content.append(bytes_of(PipeDecision{.rejected = 0,
                                         .num_rows = static_cast<std::uint32_t>(decision.rows.size()),
                                         .num_victims = static_cast<std::uint32_t>(decision.victims.size()),
                                         .num_shed = static_cast<std::uint32_t>(decision.shed.size())}));
    append_array(content, decision.rows);
    append_array(content, decision.victims);
    std::vector<std::uint8_t> actions = decision.victim_actions;
    actions.resize(decision.victims.size());
    append_array(content, actions);
    append_array(content, decision.shed);
    return content;
}

class Host {
  public:
    explicit Host(int socket) : socket_(socket) {}

    int run() {
        PipeHeader header;
        std::string content;
        while (receive_message(socket_, header, content, max_message, never) == PipeStatus::done) {
            if (header.kind == PipeKind::create) {
                if (!create(content)) return 1;
            } else if (header.kind == PipeKind::event && content.size() == sizeof(PolicyEvent)) {
                PolicyEvent event;
                std::memcpy(&event, content.data(), sizeof event);
                policy_->on_event(event);
            } else if (header.kind == PipeKind::decide && content.size() >= sizeof(PolicyView)) {
                if (!answer(PipeKind::decide, flat(decide(content)))) return 0;
            }
        }
        return 0;
    }

  private:
    bool answer(PipeKind kind, const std::string& content) const {
        std::string message;
        append_message(message, kind, content);
        return send_all(socket_, message, never) == PipeStatus::done;
    }
    bool create(const std::string& content) {
        const std::size_t end = content.find('\0');
        PolicyChoice choice;
        choice.name = content.substr(0, end);
        choice.options = end == std::string::npos ? "" : content.substr(end + 1);
        choice.budget = std::chrono::hours(1);  // the other side has its eye on the time
        auto made = make_policy(choice);
        if (made) policy_ = *std::move(made);
        return answer(PipeKind::create, policy_ ? "" : made.error().message) && policy_;
    }
    PolicyOutcome decide(const std::string& content) {
        PolicyView view;
        std::memcpy(&view, content.data(), sizeof view);
        sequences_.resize((content.size() - sizeof view) / sizeof(PolicySequence));
        std::memcpy(sequences_.data(), content.data() + sizeof view,
                    sequences_.size() * sizeof(PolicySequence));
        view.sequences = sequences_.data();
        view.num_sequences = static_cast<std::uint32_t>(sequences_.size());
        return policy_->decide(view);
    }

    int socket_;
    std::unique_ptr<PolicyPort> policy_;
    std::vector<PolicySequence> sequences_;
};

}  // namespace

int run_policy_host(int socket) {
    // The server's sockets are none of the plug-in's business.
    ::close_range(static_cast<unsigned>(socket) + 1, ~0U, 0);
    end_with_the_other_side(socket);
    return Host(socket).run();
}

}  // namespace troupe
