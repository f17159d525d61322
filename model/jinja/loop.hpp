// The `loop` variable of {% for %}, after Jinja's LoopContext: lazy, one item ahead at most unless the length
// is asked for, so that filters on the loop see what its body has done.
#pragma once
#include <functional>
#include <optional>
#include <string_view>

#include "model/jinja/runtime.hpp"

namespace troupe::jinja {

class Loop : public Object {
  public:
    using Recurse = std::function<Value(const Value& items, int depth)>;

    // `known_length` where the items are not made on the way; `recurse` is empty unless the loop is
    // recursive.
    Loop(Cursor cursor, std::optional<size_t> known_length, int depth, Recurse recurse)
        : cursor_(std::move(cursor)), length_(known_length), depth_(depth), recurse_(std::move(recurse)) {}

    bool next(Value& item);

    std::string_view type_name() const override { return "LoopContext"; }
    std::string repr() const override;
    Value attribute(Runtime& runtime, std::string_view name) override;
    bool callable() const override { return true; }
    Value call(Runtime& runtime, Arguments arguments) override;
    void release() override;

    Value cycle(const Arguments& arguments) const;
    bool changed(std::vector<Value> values);

  private:
    const std::optional<Value>& peek();
    int64_t length();
    int64_t index() const { return index0_ + 1; }

    Cursor cursor_;
    std::optional<size_t> length_;
    int depth_;  // of recursion, from 0
    Recurse recurse_;
    int64_t index0_ = -1;
    std::optional<Value> before_, current_, after_;
    std::optional<std::vector<Value>> last_changed_;
};

}  // namespace troupe::jinja
