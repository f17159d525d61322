// What builtins and the evaluator share during one rendering: the limits that keep any template bounded, the
// time, and the ways to reach into values. One thread.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/jinja/template.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

class Runtime {
  public:
    explicit Runtime(const RenderOptions& options) : options_(options) {}
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    const RenderOptions& options() const { return options_; }

    // Count work done; fail when a limit is passed. Call charge before making something of `bytes` bytes
    // whose size is not bounded by that of the operands.
    void step(size_t count = 1);
    void charge(size_t bytes);
    void charge_product(size_t count, size_t bytes_each);

    // Keeps an object that may be part of a cycle until the end of the rendering, and breaks the cycle then.
    template <class T>
    std::shared_ptr<T> keep(std::shared_ptr<T> object) {
        kept_.push_back(object);
        return object;
    }

    int line = 0;   // of what is being evaluated, for error messages
    int depth = 0;  // of evaluation

  private:
    const RenderOptions& options_;
    size_t steps_ = 0;
    size_t bytes_ = 0;
    std::vector<std::shared_ptr<Object>> kept_;
};

// Levels of recursion; fails beyond the limit.
class DepthGuard {
  public:
    explicit DepthGuard(Runtime& runtime, int levels = 1);
    ~DepthGuard() { runtime_.depth -= levels_; }
    DepthGuard(const DepthGuard&) = delete;
    DepthGuard& operator=(const DepthGuard&) = delete;

  private:
    Runtime& runtime_;
    int levels_;
};

// Yields the next item into its argument; false at the end.
using Cursor = std::function<bool(Value&)>;

// What Python's generators and iterators are: lazy, consumed once, always true.
class Iterator : public Object {
  public:
    Iterator(std::string_view type, Cursor cursor, const Value& source)
        : next(std::move(cursor)), type_(type) {
        extent_.enclose(source.extent());
    }
    std::string_view type_name() const override { return type_; }
    Extent extent() const override { return extent_; }

    Cursor next;

  private:
    std::string_view type_;
    Extent extent_;
};
Value make_generator(Cursor cursor, const Value& source);

// {% set ns.name = ... %}
class Namespace : public Object {
  public:
    explicit Namespace(Runtime& runtime) : runtime_(runtime) {}
    std::string_view type_name() const override { return "Namespace"; }
    std::string repr() const override;
    Value attribute(Runtime& runtime, std::string_view name) override;
    void release() override { fields = {}; }

    Dict fields;

  private:
    Runtime& runtime_;
    mutable bool printing_ = false;  // a namespace may hold itself
};

Cursor iterate(Runtime& runtime, const Value& value);  // fails when not iterable
std::vector<Value> to_items(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
size_t length_of(Runtime& runtime, const Value& value);  // len(value)

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);  // object.name
Value get_item(Runtime& runtime, const Value& object, const Value& key);            // object[key]
// object[start:stop:step]; None where left out.
Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step);

Value call(Runtime& runtime, const Value& callee, Arguments arguments);

}  // namespace troupe::jinja
