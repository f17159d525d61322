// Variables of one block, on top of those of the blocks around it.
#pragma once
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "model/jinja/value.hpp"

namespace troupe::jinja {

// An Object only so that the runtime can keep and release it: a macro holds the scope in which it is defined,
// and that scope holds the macro.
class Scope : public Object {
  public:
    explicit Scope(std::shared_ptr<Scope> parent = nullptr) : parent_(std::move(parent)) {}
    std::string_view type_name() const override { return "scope"; }
    void release() override { variables_.clear(); }

    const Value* find(std::string_view name) const {
        for (const Scope* scope = this; scope; scope = scope->parent_.get())
            for (const auto& [key, value] : scope->variables_)
                if (key == name) return &value;
        return nullptr;
    }
    // `name` must outlive the scope: it is a name of the parsed template.
    void set(std::string_view name, Value value) {
        for (auto& [key, held] : variables_) {
            if (key != name) continue;
            held = std::move(value);
            return;
        }
        variables_.emplace_back(name, std::move(value));
    }

  private:
    std::shared_ptr<Scope> parent_;
    std::vector<std::pair<std::string_view, Value>> variables_;
};

}  // namespace troupe::jinja
