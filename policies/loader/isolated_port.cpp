#include "policies/loader/isolated_port.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "policies/loader/policy_host.hpp"

extern char** environ;

namespace troupe {
namespace {

constexpr std::chrono::seconds time_to_start(5);
constexpr std::chrono::milliseconds first_pause(100), longest_pause(10000);

// Without the server's keys and tokens.
std::vector<char*> environment_of_host() {
    std::vector<char*> kept;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view variable(*entry);
        if (!variable.starts_with("TROUPE_") && !variable.starts_with("HF_")) kept.push_back(*entry);
    }
    kept.push_back(nullptr);
    return kept;
}

// Runs the host with `socket` as its descriptor 3, in a process group of its own: Ctrl-C is not for it.
pid_t spawn_host(std::vector<std::string> host, int socket) {
    if (host.empty()) host = {"/proc/self/exe", "policy", "host"};
    std::vector<char*> arguments;
    for (std::string& argument : host) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, socket, host_socket);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    pid_t process = -1;
    if (posix_spawn(&process, arguments[0], &actions, &attributes, arguments.data(),
                    environment_of_host().data()) != 0)
        process = -1;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return process;
}

template <class T>
bool take_array(std::vector<T>& target, std::uint32_t count, std::string_view& bytes) {
    const std::size_t size = count * sizeof(T);
    if (bytes.size() < size) return false;
    target.resize(count);
    if (size > 0) std::memcpy(target.data(), bytes.data(), size);
    bytes.remove_prefix(size);
    return true;
}

}  // namespace

Result<std::unique_ptr<PolicyPort>> IsolatedPort::make(const PolicyChoice& choice) {
    std::unique_ptr<IsolatedPort> port(new IsolatedPort(choice));
    if (auto status = port->spawn(); !status) return status.error();
    if (auto status = port->await_start(port->start_by_); !status) return status.error();
    return std::unique_ptr<PolicyPort>(std::move(port));
}

IsolatedPort::~IsolatedPort() { kill_process(); }

Status IsolatedPort::spawn() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return internal_error("There is no socket left for the policy's process.");
    // dup2 onto itself would leave the close-on-exec flag.
    if (ends[1] == host_socket) {
        ends[1] = fcntl(host_socket, F_DUPFD_CLOEXEC, host_socket + 1);
        close(host_socket);
    }
    process_ = spawn_host(choice_.host, ends[1]);
    close(ends[1]);
    socket_ = ends[0];
    if (process_ < 0) {
        kill_process();
        return internal_error("The policy's process could not be started.");
    }
    state_ = State::starting;
    start_by_ = Clock::now() + time_to_start;
    std::string message;
    append_message(message, PipeKind::create, choice_.name + '\0' + choice_.options);
    if (send_all(socket_, message, start_by_) != PipeStatus::done)
        return internal_error("The policy's process ended at once.");
    return {};
}

Status IsolatedPort::await_start(Clock::time_point deadline) {
    PipeHeader header;
    const auto status = receive_message(socket_, header, incoming_, 1 << 16, deadline);
    if (status == PipeStatus::late)
        return Error{ErrorCode::timed_out, "The policy does not start in time.", {}, {}};
    if (status == PipeStatus::closed)
        return invalid_argument("The policy does not start: its process died.", "policy");
    if (!incoming_.empty()) return invalid_argument(incoming_, "policy");
    state_ = State::ready;
    return {};
}

void IsolatedPort::kill_process() {
    if (socket_ >= 0) close(socket_);
    if (process_ > 0) {
        kill(process_, SIGKILL);
        while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
        }
    }
    socket_ = -1;
    process_ = -1;
    state_ = State::dead;
    outgoing_.clear();
}

Rejected IsolatedPort::lose(const std::string& why) {
    kill_process();
    restart_at_ = Clock::now() + pause_;
    pause_ = std::min(pause_ * 2, longest_pause);
    return {why + "; its process is started anew"};
}

bool IsolatedPort::bring_up(const PolicyView& view, Rejected& why_not) {
    if (state_ == State::dead) {
        why_not = {"its process is to be started anew"};
        if (Clock::now() < restart_at_) return false;
        if (auto status = spawn(); !status) {
            why_not = lose(status.error().message);
            return false;
        }
    }
    if (state_ == State::starting) {
        // Not at all waited for: the step has to begin.
        const auto status = await_start(Clock::now() + std::chrono::microseconds(1));
        if (!status && status.error().code == ErrorCode::timed_out && Clock::now() < start_by_) {
            why_not = {"its process is starting"};
            return false;
        }
        if (!status) {
            why_not = lose(status.error().message);
            return false;
        }
        tell_of_the_living(view);
    }
    return true;
}

void IsolatedPort::tell_of_the_living(const PolicyView& view) {
    std::map<std::uint64_t, std::uint32_t> generated;
    for (std::uint32_t i = 0; i < view.num_sequences; ++i)
        generated[view.sequences[i].id] = view.sequences[i].generated_tokens;
    for (const auto& [id, tenant] : tenants_) {
        const auto found = generated.find(id);
        const PolicyEvent event{POLICY_EVENT_LIVE,
                                0,
                                id,
                                tenant,
                                view.now_us,
                                found == generated.end() ? 0 : std::int64_t{found->second}};
        append_message(outgoing_, PipeKind::event, bytes_of(event));
    }
}

PolicyOutcome IsolatedPort::decide(const PolicyView& view) {
    Rejected why_not;
    if (!bring_up(view, why_not)) return why_not;
    const auto deadline = Clock::now() + choice_.budget;
    std::string content(bytes_of(view));
    content.append(reinterpret_cast<const char*>(view.sequences),
                   view.num_sequences * sizeof(PolicySequence));
    append_message(outgoing_, PipeKind::decide, content);
    const auto status = send_all(socket_, outgoing_, deadline);
    outgoing_.clear();
    if (status == PipeStatus::late) return lose("it did not take the view in time (--policy-budget)");
    if (status == PipeStatus::closed) return lose("its process died");
    return receive_decision(view, deadline);
}

PolicyOutcome IsolatedPort::receive_decision(const PolicyView& view, Clock::time_point deadline) {
    const std::size_t longest =
        sizeof(PipeDecision) + 512 +
        std::size_t{view.num_sequences} * (sizeof(PolicyRow) + 2 * sizeof(std::uint32_t) + 1);
    PipeHeader header;
    const auto status = receive_message(socket_, header, incoming_, longest, deadline);
    if (status == PipeStatus::late) {
        return lose("it did not answer within " + std::to_string(choice_.budget.count()) +
                    " us (--policy-budget)");
    }
    PipeDecision counts;
    if (status == PipeStatus::closed || incoming_.size() < sizeof counts) return lose("its process died");
    std::memcpy(&counts, incoming_.data(), sizeof counts);
    std::string_view rest = std::string_view(incoming_).substr(sizeof counts);
    pause_ = first_pause;
    if (counts.rejected != 0) return Rejected{std::string(rest)};
    Decision decision;
    const bool whole = take_array(decision.rows, counts.num_rows, rest) &&
                       take_array(decision.victims, counts.num_victims, rest) &&
                       take_array(decision.victim_actions, counts.num_victims, rest) &&
                       take_array(decision.shed, counts.num_shed, rest);
    if (!whole) return lose("its answer is cut off");
    return decision;
}

void IsolatedPort::on_event(const PolicyEvent& event) {
    if (event.kind == POLICY_EVENT_ARRIVED || event.kind == POLICY_EVENT_LIVE)
        tenants_[event.sequence] = event.tenant;
    if (event.kind == POLICY_EVENT_FINISHED) tenants_.erase(event.sequence);
    if (state_ == State::ready) append_message(outgoing_, PipeKind::event, bytes_of(event));
}

}  // namespace troupe
