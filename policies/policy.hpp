// Scheduling policies as C++ classes over the C interface of policy_abi.h. The built-in ones are made with
// this header, and so are plug-ins: it needs nothing else of Troupe, and exceptions stay inside.
//
//     struct Mine {
//         explicit Mine(PolicyOptions& options) : boost_(options.number("boost", 1, 0, 10)) {}
//         void decide(const PolicyView& view, PolicyDecision& decision);
//         void on_event(const PolicyEvent& event);
//         double boost_;
//     };
//     TROUPE_POLICY(Mine)
//
// policies/batch.hpp has the arithmetic of tokens and blocks that most policies need.
#pragma once
#include <charconv>
#include <cstring>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

#include "policies/policy_abi.h"

namespace troupe {

// What the operator gave with --policy-option, lines "key=value". A key that no policy reads, one given twice
// and a value out of range are errors: std::invalid_argument, whose text the operator gets to read.
class PolicyOptions {
  public:
    explicit PolicyOptions(std::string_view text) {
        while (!text.empty()) {
            const std::string_view line = text.substr(0, text.find('\n'));
            text.remove_prefix(line.size() < text.size() ? line.size() + 1 : text.size());
            if (line.empty()) continue;
            const std::size_t equals = line.find('=');
            if (equals == 0 || equals == std::string_view::npos)
                throw std::invalid_argument("'" + std::string(line) + "' is not key=value.");
            const std::string key(line.substr(0, equals));
            if (!values_.emplace(key, line.substr(equals + 1)).second)
                throw std::invalid_argument("The option '" + key + "' is given twice.");
        }
    }

    std::string text(const std::string& key, const std::string& otherwise) {
        known_ += known_.empty() ? key : ", " + key;
        const auto found = values_.find(key);
        if (found == values_.end()) return otherwise;
        std::string value = std::move(found->second);
        values_.erase(found);
        return value;
    }

    // Within [low, high].
    double number(const std::string& key, double otherwise, double low, double high) {
        const std::string given = text(key, "");
        if (given.empty()) return otherwise;
        double value = 0;
        const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), value);
        const bool whole = error == std::errc() && end == given.data() + given.size();
        if (!whole || !(value >= low && value <= high)) {
            throw std::invalid_argument("The option '" + key + "' must be a number from " + shown(low) +
                                        " to " + shown(high) + "; it is '" + given + "'.");
        }
        return value;
    }

    bool flag(const std::string& key, bool otherwise) { return number(key, otherwise ? 1 : 0, 0, 1) != 0; }

    // Called once the policy is made: what nobody asked for does not exist.
    void check_all_read() const {
        if (values_.empty()) return;
        throw std::invalid_argument(
            "There is no option '" + values_.begin()->first + "'; " +
            (known_.empty() ? "this policy has none." : "there are: " + known_ + "."));
    }

  private:
    static std::string shown(double number) {
        char text[32];
        return {text, std::to_chars(text, text + sizeof text, number).ptr};
    }
    std::map<std::string, std::string> values_;  // not read yet
    std::string known_;
};

// The C table of a class.
template <class Policy>
class PolicyAdapter {
  public:
    static const PolicyTable& table() {
        static const PolicyTable table = {
            TROUPE_POLICY_ABI_VERSION, sizeof(PolicyTable), create, destroy, decide, on_event};
        return table;
    }

  private:
    struct State {
        explicit State(PolicyOptions& options) : policy(options) {}
        Policy policy;
        bool failed = false;  // in an event: the next decision says so
    };

    static void* create(const char* options, char* error, std::uint32_t capacity) {
        std::string fault;
        try {
            PolicyOptions given(options);
            State* state = new State(given);
            try {
                given.check_all_read();
            } catch (...) {
                delete state;
                throw;
            }
            return state;
        } catch (const std::exception& e) {
            fault = e.what();
        } catch (...) {
        }
        if (fault.empty()) fault = "The policy could not be made.";
        if (capacity > 0) {
            const std::size_t size = fault.size() < capacity ? fault.size() : capacity - 1;
            std::memcpy(error, fault.data(), size);
            error[size] = 0;
        }
        return nullptr;
    }
    static void destroy(void* self) { delete static_cast<State*>(self); }
    static std::int32_t decide(void* self, const PolicyView* view, PolicyDecision* decision) {
        State& state = *static_cast<State*>(self);
        if (state.failed) {
            state.failed = false;
            return 1;
        }
        try {
            state.policy.decide(*view, *decision);
            return 0;
        } catch (...) {
            return 1;
        }
    }
    static void on_event(void* self, const PolicyEvent* event) {
        try {
            static_cast<State*>(self)->policy.on_event(*event);
        } catch (...) {
            static_cast<State*>(self)->failed = true;
        }
    }
};

}  // namespace troupe

// Makes a class the policy of a plug-in; once in a library, at global scope.
#define TROUPE_POLICY(Policy)                                                                          \
    extern "C" __attribute__((visibility("default"))) const troupe::PolicyTable* troupe_policy(void) { \
        return &troupe::PolicyAdapter<Policy>::table();                                                \
    }
