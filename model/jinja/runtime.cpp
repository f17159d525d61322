#include "model/jinja/runtime.hpp"

#include <algorithm>

#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {

Runtime::~Runtime() {
    for (const auto& object : kept_) object->release();
}

void Runtime::step(size_t count) {
    steps_ += count;
    if (steps_ > options_.limits.max_steps) fail("the template takes too many steps");
}

void Runtime::charge(size_t bytes) {
    if (bytes > options_.limits.max_bytes - std::min(bytes_, options_.limits.max_bytes))
        fail("the template uses too much memory");
    bytes_ += bytes;
}

void Runtime::charge_product(size_t count, size_t bytes_each) {
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, bytes_each, &bytes)) fail("the template uses too much memory");
    charge(bytes);
}

DepthGuard::DepthGuard(Runtime& runtime, int levels) : runtime_(runtime), levels_(levels) {
    if (runtime_.depth + levels > runtime_.options().limits.max_depth)
        fail("maximum recursion depth exceeded");
    runtime_.depth += levels;
}

Value make_generator(Cursor cursor, const Value& source) {
    return std::make_shared<Iterator>("generator", std::move(cursor), source);
}

// Namespaces are mutable, so that their extent is not known to what holds them: counted here instead.
std::string Namespace::repr() const {
    if (printing_) return "<Namespace {...}>";
    constexpr int levels = 50;  // about as many as the containers in between may add
    const DepthGuard guard(runtime_, levels);
    runtime_.step();
    runtime_.charge(fields.extent().weight);
    printing_ = true;
    std::string text = "<Namespace " + repr_of(fields) + ">";
    printing_ = false;
    return text;
}

Value Namespace::attribute(Runtime&, std::string_view name) {
    if (const Value* found = fields.field(name)) return *found;
    return Value::undefined("'Namespace object' has no attribute '" + std::string(name) + "'");
}

bool is_iterable(const Value& value) {
    switch (value.kind()) {
        case Value::Kind::undefined:
        case Value::Kind::string:
        case Value::Kind::sequence:
        case Value::Kind::dict:
            return true;
        case Value::Kind::object:
            return value.object<Iterator>() != nullptr;
        default:
            return false;
    }
}

Cursor iterate(Runtime& runtime, const Value& value) {
    switch (value.kind()) {
        case Value::Kind::undefined:
            return [](Value&) { return false; };
        case Value::Kind::string:
            return [&runtime, value, at = size_t{0}](Value& item) mutable {
                if (at >= value.text().size()) return false;
                runtime.step();
                const size_t begin = at;
                unicode::decode(value.text(), at);
                item = Value(value.text().substr(begin, at - begin));  // not markup, even if the whole is
                return true;
            };
        case Value::Kind::sequence:
            return [&runtime, value, i = size_t{0}](Value& item) mutable {
                if (i >= value.sequence().items.size()) return false;
                runtime.step();
                item = value.sequence().items[i++];
                return true;
            };
        case Value::Kind::dict:
            return [&runtime, value, i = size_t{0}](Value& item) mutable {
                if (i >= value.dict().size()) return false;
                runtime.step();
                item = value.dict().entries()[i++].first;
                return true;
            };
        default:
            break;
    }
    if (value.object<Iterator>())
        return [&runtime, value](Value& item) {
            runtime.step();
            const DepthGuard guard(runtime);
            return value.object<Iterator>()->next(item);
        };
    fail("'" + std::string(value.type_name()) + "' object is not iterable");
}

std::vector<Value> to_items(Runtime& runtime, const Value& value) {
    if (value.is_sequence()) {
        runtime.charge_product(value.sequence().items.size(), sizeof(Value));
        return value.sequence().items;
    }
    std::vector<Value> items;
    const Cursor next = iterate(runtime, value);
    for (Value item; next(item);) {
        runtime.charge(sizeof(Value));
        items.push_back(std::move(item));
    }
    return items;
}

size_t length_of(Runtime& runtime, const Value& value) {
    switch (value.kind()) {
        case Value::Kind::undefined:
            return 0;
        case Value::Kind::string:
            runtime.charge(value.text().size());
            return unicode::length(value.text());
        case Value::Kind::sequence:
            return value.sequence().items.size();
        case Value::Kind::dict:
            return value.dict().size();
        default:
            fail("object of type '" + std::string(value.type_name()) + "' has no len()");
    }
}

// How Jinja's messages name an object.
static std::string described(const Value& value) {
    return value.is_none() ? "None" : std::string(value.type_name()) + " object";
}

static bool has_prefix(std::string_view name, std::string_view prefix) {
    return name.substr(0, prefix.size()) == prefix;
}

// A Python attribute of the object: a method, a field of an object. Null when there is none.
static bool find_attribute(Runtime& runtime, const Value& object, std::string_view name, Value& found) {
    const auto unsafe = [&] {
        return Value::undefined("access to attribute '" + std::string(name) + "' of '" +
                                std::string(object.type_name()) + "' object is unsafe.");
    };
    if (has_prefix(name, "__") && name.size() > 4 && name.substr(name.size() - 2) == "__") {
        if (object.is_dict() && object.dict().field(name)) return false;
        found = unsafe();
        return true;
    }
    if (Object* self = object.object()) {
        found = self->attribute(runtime, name);
        return !found.is_undefined();
    }
    if (object.is_sequence() && object.sequence().flavor == Sequence::Flavor::group) {
        if (name == "grouper" || name == "list") {
            found = object.sequence().items[name == "list" ? 1 : 0];
            return true;
        }
    }
    if (mutates(object, name)) {
        found = unsafe();
        return true;
    }
    if (const Builtin* method = find_method(object, name)) {
        found = bind_method(*method, object);
        return true;
    }
    return false;
}

Value get_attribute(Runtime& runtime, const Value& object, std::string_view name) {
    if (object.is_undefined()) fail(object.undefined_message());
    Value found;
    if (find_attribute(runtime, object, name, found)) return found;
    if (object.is_dict())
        if (const Value* item = object.dict().field(name)) return *item;
    return Value::undefined("'" + described(object) + "' has no attribute '" + std::string(name) + "'");
}

// The position that a Python index means, or npos when it is out of range.
static size_t resolve_index(int64_t index, size_t size) {
    if (index < 0) index += static_cast<int64_t>(size);
    return index < 0 || index >= static_cast<int64_t>(size) ? std::string::npos : static_cast<size_t>(index);
}

static const Value* item_of(const Sequence& sequence, int64_t index) {
    const size_t at = resolve_index(index, sequence.items.size());
    return at == std::string::npos ? nullptr : &sequence.items[at];
}

Value get_item(Runtime& runtime, const Value& object, const Value& key) {
    if (object.is_undefined()) fail(object.undefined_message());
    if (object.is_dict()) {
        if (const Value* item = object.dict().find(key)) return *item;
    } else if (key.is_integer() || key.is_bool()) {
        const int64_t index = key.is_bool() ? key.as_bool() : key.as_integer();
        if (object.is_sequence() && object.sequence().subscriptable()) {
            if (const Value* item = item_of(object.sequence(), index)) return *item;
        } else if (object.is_string()) {
            runtime.charge(object.text().size());
            const size_t at = resolve_index(index, unicode::length(object.text()));
            if (at != std::string::npos)
                return Value(std::string(unicode::at(object.text(), at)), object.is_markup());
        }
    }
    if (key.is_string()) {
        Value found;
        if (find_attribute(runtime, object, key.text(), found)) return found;
        return Value::undefined("'" + described(object) + "' has no attribute '" + key.text() + "'");
    }
    return Value::undefined(described(object) + " has no element " + repr_of(key));
}

static int64_t slice_bound(const Value& value, int64_t missing, int64_t size, bool backwards) {
    if (value.is_none()) return missing;
    if (!value.is_integer() && !value.is_bool()) fail("slice indices must be integers or None");
    int64_t bound = value.is_bool() ? value.as_bool() : value.as_integer();
    if (bound < 0) bound += size;
    if (backwards) return std::clamp<int64_t>(bound, -1, size - 1);
    return std::clamp<int64_t>(bound, 0, size);
}

Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
    if (object.is_undefined()) fail(object.undefined_message());
    const bool sliceable = object.is_string() || (object.is_sequence() && object.sequence().subscriptable());
    if (!sliceable) fail("'" + std::string(object.type_name()) + "' object is not subscriptable by a slice");
    if (!step.is_none() && !step.is_integer() && !step.is_bool())
        fail("slice indices must be integers or None");
    const int64_t stride = step.is_none() ? 1 : step.is_bool() ? step.as_bool() : step.as_integer();
    if (stride == 0) fail("slice step cannot be zero");

    std::vector<std::string_view> characters;
    if (object.is_string()) {
        runtime.charge_product(object.text().size(), sizeof(std::string_view));
        characters = unicode::characters(object.text());
    }
    const auto size =
        static_cast<int64_t>(object.is_string() ? characters.size() : object.sequence().items.size());
    const bool backwards = stride < 0;
    const int64_t first = slice_bound(start, backwards ? size - 1 : 0, size, backwards);
    const int64_t last = slice_bound(stop, backwards ? -1 : size, size, backwards);

    std::string text;
    std::vector<Value> items;
    for (int64_t i = first; backwards ? i > last : i < last;) {
        if (object.is_string())
            text += characters[static_cast<size_t>(i)];
        else
            items.push_back(object.sequence().items[static_cast<size_t>(i)]);
        if (__builtin_add_overflow(i, stride, &i)) break;
    }
    if (object.is_string()) return Value(std::move(text), object.is_markup());
    runtime.charge_product(items.size(), sizeof(Value));
    return object.sequence().is_tuple() ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

Value call(Runtime& runtime, const Value& callee, Arguments arguments) {
    if (callee.is_undefined()) fail(callee.undefined_message());
    Object* object = callee.object();
    if (!object || !object->callable())
        fail("'" + std::string(callee.type_name()) + "' object is not callable");
    return object->call(runtime, std::move(arguments));
}

}  // namespace troupe::jinja
