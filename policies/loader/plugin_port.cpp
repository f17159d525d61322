#include "policies/loader/plugin_port.hpp"

#include <array>
#include <exception>
#include <utility>

namespace troupe {
namespace {

using Clock = std::chrono::steady_clock;

// Runs it; what it throws as text, or empty.
template <class Call>
std::string caught(Call call) {
    try {
        call();
        return {};
    } catch (const std::exception& error) {
        return std::string("it threw an exception: ") + error.what();
    } catch (...) {
        return "it threw an exception";
    }
}

}  // namespace

Result<std::unique_ptr<PolicyPort>> PluginPort::make(std::shared_ptr<const PolicyLibrary> library,
                                                     const std::string& options,
                                                     std::chrono::microseconds budget) {
    std::unique_ptr<PluginPort> port(new PluginPort(std::move(library), budget));
    const PolicyTable& table = port->library_->table();
    std::array<char, 512> error{};
    void* self = nullptr;
    std::string fault = caught([&] {
        self = table.create(options.c_str(), error.data(), static_cast<std::uint32_t>(error.size()));
    });
    error.back() = 0;
    if (fault.empty()) fault = error.data();
    if (!fault.empty()) {
        port->library_.reset();  // nothing was made that could be destroyed
        return invalid_argument("The policy does not start: " + fault, "policy_options");
    }
    port->self_ = self;
    return std::unique_ptr<PolicyPort>(std::move(port));
}

PluginPort::~PluginPort() {
    if (library_) caught([&] { library_->table().destroy(self_); });
}

PolicyOutcome PluginPort::decide(const PolicyView& view) {
    if (!fault_.empty()) return Rejected{std::exchange(fault_, {})};
    if (used_ > budget_) {
        used_ -= budget_;
        return Rejected{"it is too slow: it is not asked until it has made up for the time that it took"};
    }
    sequences_.assign(view.sequences, view.sequences + view.num_sequences);
    PolicyView seen = view;
    seen.sequences = sequences_.data();
    PolicyOutcome outcome = Rejected{};
    const auto begin = Clock::now();
    const std::string fault = caught([&] { outcome = call_decide(library_->table(), self_, seen); });
    used_ += Clock::now() - begin;
    const bool slow = used_ > budget_;
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(used_).count();
    used_ = slow ? used_ - budget_ : std::chrono::nanoseconds(0);
    if (!fault.empty()) return Rejected{fault};
    if (slow) {
        return Rejected{"it took " + std::to_string(microseconds) + " us, the budget is " +
                        std::to_string(budget_.count()) + " us (--policy-budget)"};
    }
    return outcome;
}

void PluginPort::on_event(const PolicyEvent& event) {
    const PolicyTable& table = library_->table();
    if (table.on_event == nullptr) return;
    const auto begin = Clock::now();
    const std::string fault = caught([&] { table.on_event(self_, &event); });
    used_ += Clock::now() - begin;
    if (!fault.empty()) fault_ = fault + " (in on_event)";
}

}  // namespace troupe
