#include "engine/policy_port.hpp"

#include <array>
#include <stdexcept>

namespace troupe {

TablePolicyPort::TablePolicyPort(const PolicyTable& table, const std::string& options) : table_(table) {
    std::array<char, 512> error{};
    self_ = table.create(options.c_str(), error.data(), static_cast<std::uint32_t>(error.size()));
    error.back() = 0;
    if (error.front() != 0) throw std::invalid_argument(error.data());
}

TablePolicyPort::~TablePolicyPort() { table_.destroy(self_); }

PolicyOutcome call_decide(const PolicyTable& table, void* self, const PolicyView& view) {
    Decision decision;
    decision.rows.resize(view.num_sequences);
    decision.victims.resize(view.num_sequences);
    decision.victim_actions.resize(view.num_sequences);
    decision.shed.resize(view.num_sequences);
    PolicyDecision flat{.rows = decision.rows.data(),
                        .rows_capacity = view.num_sequences,
                        .num_rows = 0,
                        .victims = decision.victims.data(),
                        .victims_capacity = view.num_sequences,
                        .num_victims = 0,
                        .victim_actions = decision.victim_actions.data(),
                        .shed = decision.shed.data(),
                        .shed_capacity = view.num_sequences,
                        .num_shed = 0};
    if (table.decide(self, &view, &flat) != 0) return Rejected{"the policy reported an error"};
    if (flat.num_rows > view.num_sequences || flat.num_victims > view.num_sequences ||
        flat.num_shed > view.num_sequences) {
        return Rejected{"the policy's counts exceed the arrays it was given"};
    }
    decision.rows.resize(flat.num_rows);
    decision.victims.resize(flat.num_victims);
    decision.victim_actions.resize(flat.num_victims);
    decision.shed.resize(flat.num_shed);
    return decision;
}

PolicyOutcome TablePolicyPort::decide(const PolicyView& view) { return call_decide(table_, self_, view); }

void TablePolicyPort::on_event(const PolicyEvent& event) {
    if (table_.on_event != nullptr) table_.on_event(self_, &event);
}

}  // namespace troupe
