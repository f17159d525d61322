#include "model/jinja/loop.hpp"

#include <algorithm>

#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"

namespace troupe::jinja {

bool Loop::next(Value& item) {
    if (!peek()) return false;
    before_ = std::move(current_);
    current_ = std::exchange(after_, std::nullopt);
    ++index0_;
    item = *current_;
    return true;
}

const std::optional<Value>& Loop::peek() {
    Value item;
    if (!after_ && cursor_ && cursor_(item)) after_ = std::move(item);
    return after_;
}

int64_t Loop::length() {
    if (!length_) {
        std::vector<Value> rest;
        for (Value item; cursor_(item);) rest.push_back(std::move(item));
        length_ = rest.size() + static_cast<size_t>(index()) + (after_ ? 1 : 0);
        cursor_ = [rest = std::move(rest), i = size_t{0}](Value& item) mutable {
            if (i >= rest.size()) return false;
            item = rest[i++];
            return true;
        };
    }
    return static_cast<int64_t>(*length_);
}

Value Loop::cycle(const Arguments& arguments) const {
    if (arguments.positional.empty()) fail("no items for cycling given");
    return arguments.positional[static_cast<size_t>(index0_) % arguments.positional.size()];
}

bool Loop::changed(std::vector<Value> values) {
    if (last_changed_ &&
        std::equal(values.begin(), values.end(), last_changed_->begin(), last_changed_->end(), equals))
        return false;
    last_changed_ = std::move(values);
    return true;
}

static Value loop_cycle(Runtime&, const Value& self, const Bound& arguments) {
    return self.object<Loop>()->cycle(arguments.all());
}
static Value loop_changed(Runtime& runtime, const Value& self, const Bound& arguments) {
    runtime.keep(self.object<Loop>()->shared_from_this());  // it may be given itself
    return self.object<Loop>()->changed(arguments.all().positional);
}
static constexpr Builtin cycle_method{"cycle", "*", loop_cycle};
static constexpr Builtin changed_method{"changed", "*", loop_changed};

Value Loop::attribute(Runtime& runtime, std::string_view name) {
    if (name == "index") return index();
    if (name == "index0") return index0_;
    if (name == "first") return index0_ == 0;
    if (name == "last") return !peek().has_value();
    if (name == "length") return length();
    if (name == "revindex") return length() - index0_;
    if (name == "revindex0") return length() - index();
    if (name == "depth") return depth_ + 1;
    if (name == "depth0") return depth_;
    if (name == "previtem") return before_ ? *before_ : Value::undefined("there is no previous item");
    if (name == "nextitem") return peek() ? *peek() : Value::undefined("there is no next item");
    if (name == "cycle") return bind_method(cycle_method, shared_from_this());
    if (name == "changed") return bind_method(changed_method, shared_from_this());
    return Object::attribute(runtime, name);
}

Value Loop::call(Runtime&, Arguments arguments) {
    if (!recurse_) fail("The loop must have the 'recursive' marker to be called recursively.");
    if (arguments.positional.size() != 1 || !arguments.named.empty())
        fail("loop() takes exactly one argument");
    return recurse_(arguments.positional[0], depth_ + 1);
}

std::string Loop::repr() const {
    return "<LoopContext " + std::to_string(index()) + "/" + (length_ ? std::to_string(*length_) : "?") + ">";
}

void Loop::release() {
    cursor_ = nullptr;
    recurse_ = nullptr;
    before_ = current_ = after_ = std::nullopt;
    last_changed_.reset();
}

}  // namespace troupe::jinja
