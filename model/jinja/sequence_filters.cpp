// Filters over sequences and mappings. As in Jinja, those that Python writes as generators are lazy.
#include <algorithm>
#include <numeric>

#include "model/jinja/attribute_path.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"

namespace troupe::jinja {
namespace {

Value length(Runtime& runtime, const Value& self, const Bound&) { return length_of(runtime, self); }

Value first(Runtime& runtime, const Value& self, const Bound&) {
    Value item;
    return iterate(runtime, self)(item) ? item : Value::undefined("No first item, sequence was empty.");
}

Value last(Runtime& runtime, const Value& self, const Bound&) {
    if (self.object<Iterator>()) fail("'" + std::string(self.type_name()) + "' object is not reversible");
    std::vector<Value> items = to_items(runtime, self);
    return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value list(Runtime& runtime, const Value& self, const Bound&) { return Value::list(to_items(runtime, self)); }

Value join(Runtime& runtime, const Value& self, const Bound& arguments) {
    const std::string separator = text_of(arguments.value(0, ""));
    const AttributePath path(arguments.value(1, {}));
    std::string text;
    bool is_first = true;
    const Cursor next = iterate(runtime, self);
    for (Value item; next(item); is_first = false) {
        const Value part = path.of(runtime, item);
        runtime.charge(separator.size() + part.extent().weight);
        if (!is_first) text += separator;
        text += text_of(part);
    }
    return text;
}

Value items_of(std::vector<Value> items) {
    const Value held = Value::list(std::move(items));
    return make_generator(
        [held, i = size_t{0}](Value& item) mutable {
            if (i >= held.sequence().items.size()) return false;
            item = held.sequence().items[i++];
            return true;
        },
        held);
}

Value items(Runtime& runtime, const Value& self, const Bound&) {
    if (self.is_undefined()) return items_of({});
    if (!self.is_dict())  // said when the first pair is wanted, as of a generator
        return make_generator([](Value&) -> bool { fail("Can only get item pairs from a mapping."); }, self);
    runtime.charge_product(self.dict().size(), 2 * sizeof(Value));
    std::vector<Value> pairs;
    for (const auto& [key, value] : self.dict().entries()) pairs.push_back(Value::tuple({key, value}));
    return items_of(std::move(pairs));
}

Value reverse(Runtime& runtime, const Value& self, const Bound&) {
    if (self.is_string()) return get_slice(runtime, self, {}, {}, -1);
    if (!is_iterable(self)) fail("argument must be iterable");
    std::vector<Value> items = to_items(runtime, self);
    std::reverse(items.begin(), items.end());
    return items_of(std::move(items));
}

// --- map, select, reject ---

// Asks the value for its items only when the first is wanted, as a generator does.
Cursor lazily(Runtime& runtime, const Value& self) {
    return [&runtime, self, next = Cursor()](Value& item) mutable {
        if (!next) next = iterate(runtime, self);
        return next(item);
    };
}

using ItemFunction = std::function<Value(const Value&)>;

Value mapped(Runtime& runtime, const Value& self, ItemFunction function) {
    Cursor next = lazily(runtime, self);
    return make_generator(
        [next = std::move(next), function = std::move(function)](Value& item) {
            if (!next(item)) return false;
            item = function(item);
            return true;
        },
        self);
}

Arguments without_first(const Arguments& arguments, size_t count) {
    Arguments rest = arguments;
    rest.positional.erase(rest.positional.begin(), rest.positional.begin() + static_cast<ptrdiff_t>(count));
    return rest;
}

const std::string& name_in(const Value& value, const char* what) {
    if (!value.is_string()) fail(std::string(what) + " name must be a string");
    return value.text();
}

Value map(Runtime& runtime, const Value& self, const Bound& bound) {
    const Arguments& arguments = bound.all();
    if (!self.truthy()) return items_of({});
    if (!arguments.positional.empty()) {
        const std::string& name = name_in(arguments.positional[0], "filter");
        const Builtin* filter = find_filter(name);
        if (!filter) fail("No filter named '" + name + "'.");
        return mapped(runtime, self,
                      [&runtime, filter, rest = without_first(arguments, 1)](const Value& item) {
                          return invoke(runtime, *filter, item, rest);
                      });
    }
    Value attribute, fallback;
    bool found = false;
    for (const auto& [name, value] : arguments.named) {
        if (name == "attribute")
            attribute = value, found = true;
        else if (name == "default")
            fallback = value;
        else
            fail("Unexpected keyword argument '" + name + "'");
    }
    if (!found) fail("map requires a filter argument");
    return mapped(runtime, self, [&runtime, path = AttributePath(attribute), fallback](const Value& item) {
        return path.of(runtime, item, fallback);
    });
}

// The items of which the test, or the truth without one, is `wanted`; of their attribute when by_attribute.
template <bool wanted, bool by_attribute>
Value select(Runtime& runtime, const Value& self, const Bound& bound) {
    if (!self.truthy()) return items_of({});
    const auto& given = bound.all().positional;
    if (by_attribute && given.empty()) fail("Missing parameter for attribute name");
    const AttributePath path(by_attribute ? given[0] : Value());
    const size_t test_at = by_attribute ? 1 : 0;
    const Builtin* test = nullptr;
    Arguments rest;
    if (given.size() > test_at) {
        const std::string& name = name_in(given[test_at], "test");
        test = find_test(name);
        if (!test) fail("No test named '" + name + "'.");
        rest = without_first(bound.all(), test_at + 1);
    }
    return make_generator(
        [&runtime, next = lazily(runtime, self), path, test, rest = std::move(rest)](Value& item) {
            while (next(item)) {
                const Value subject = path.of(runtime, item);
                const Value verdict = test ? invoke(runtime, *test, subject, rest) : subject;
                if (verdict.truthy() == wanted) return true;
            }
            return false;
        },
        self);
}

// --- ordering and grouping ---

// Indices of the keys in ascending or descending order, equal ones in their order.
std::vector<size_t> sorted_order(Runtime& runtime, const std::vector<Value>& keys, bool descending) {
    std::vector<size_t> order(keys.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        runtime.charge(std::min(keys[a].extent().weight, keys[b].extent().weight));
        return descending ? less(keys[b], keys[a]) : less(keys[a], keys[b]);
    });
    return order;
}

std::vector<Value> sorted(Runtime& runtime, const std::vector<Value>& items, const std::vector<Value>& keys,
                          bool descending) {
    std::vector<Value> result;
    for (const size_t i : sorted_order(runtime, keys, descending)) result.push_back(items[i]);
    return result;
}

Value maybe_ignore_case(const Value& value, bool case_sensitive) {
    return case_sensitive ? value : ignore_case(value);
}

// "a,b" sorts by several attributes.
std::vector<AttributePath> paths_of(const Value& attribute) {
    if (!attribute.is_string()) return {AttributePath(attribute)};
    std::vector<AttributePath> paths;
    std::string_view rest = attribute.text();
    for (size_t comma = rest.find(','); comma != std::string_view::npos; comma = rest.find(',')) {
        paths.emplace_back(Value(rest.substr(0, comma)));
        rest.remove_prefix(comma + 1);
    }
    paths.emplace_back(Value(rest));
    return paths;
}

Value sort(Runtime& runtime, const Value& self, const Bound& arguments) {
    const std::vector<AttributePath> paths = paths_of(arguments.value(2, {}));
    const std::vector<Value> items = to_items(runtime, self);
    std::vector<Value> keys;
    for (const Value& item : items) {
        std::vector<Value> parts;
        for (const AttributePath& path : paths)
            parts.push_back(maybe_ignore_case(path.of(runtime, item), arguments.flag(1, false)));
        keys.push_back(Value::list(std::move(parts)));
    }
    return Value::list(sorted(runtime, items, keys, arguments.flag(0, false)));
}

Value dictsort(Runtime& runtime, const Value& self, const Bound& arguments) {
    if (self.is_undefined()) fail(self.undefined_message());
    if (!self.is_dict()) fail("'" + std::string(self.type_name()) + " object' has no attribute 'items'");
    const std::string by = arguments.has(1) ? arguments.text(1) : "key";
    if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
    std::vector<Value> pairs, keys;
    runtime.charge_product(self.dict().size(), 4 * sizeof(Value));
    for (const auto& [key, value] : self.dict().entries()) {
        pairs.push_back(Value::tuple({key, value}));
        keys.push_back(maybe_ignore_case(by == "key" ? key : value, arguments.flag(0, false)));
    }
    return Value::list(sorted(runtime, pairs, keys, arguments.flag(2, false)));
}

Value unique(Runtime& runtime, const Value& self, const Bound& arguments) {
    const bool case_sensitive = arguments.flag(0, false);
    return make_generator(
        [&runtime, next = lazily(runtime, self), path = AttributePath(arguments.value(1, {})), case_sensitive,
         seen = Dict()](Value& item) mutable {
            while (next(item)) {
                const Value key = maybe_ignore_case(path.of(runtime, item), case_sensitive);
                const size_t before = seen.size();
                seen.set(key, true);
                if (seen.size() > before) return true;
            }
            return false;
        },
        self);
}

template <bool largest>
Value extreme(Runtime& runtime, const Value& self, const Bound& arguments) {
    const AttributePath path(arguments.value(1, {}));
    const bool case_sensitive = arguments.flag(0, false);
    std::optional<Value> best;
    Value best_key;
    const Cursor next = iterate(runtime, self);
    for (Value item; next(item);) {
        const Value key = maybe_ignore_case(path.of(runtime, item), case_sensitive);
        if (best && !(largest ? less(best_key, key) : less(key, best_key))) continue;
        best = item;
        best_key = key;
    }
    return best ? *best : Value::undefined("No aggregated item, sequence was empty.");
}

Value groupby(Runtime& runtime, const Value& self, const Bound& arguments) {
    const AttributePath path(arguments.at(0));
    const Value fallback = arguments.value(1, {});
    const bool case_sensitive = arguments.flag(2, false);
    const std::vector<Value> items = to_items(runtime, self);
    std::vector<Value> keys, groups, members;
    for (const Value& item : items)
        keys.push_back(maybe_ignore_case(path.of(runtime, item, fallback), case_sensitive));
    const std::vector<size_t> order = sorted_order(runtime, keys, false);
    for (size_t i = 0; i < order.size(); ++i) {
        members.push_back(items[order[i]]);
        if (i + 1 < order.size() && equals(keys[order[i]], keys[order[i + 1]])) continue;
        const Value grouper = path.of(runtime, members[0], fallback);
        groups.push_back(
            Sequence(Sequence::Flavor::group, {grouper, Value::list(std::exchange(members, {}))}));
    }
    return Value::list(std::move(groups));
}

Value sum(Runtime& runtime, const Value& self, const Bound& arguments) {
    const AttributePath path(arguments.value(0, {}));
    Value total = arguments.value(1, 0);
    if (total.is_string()) fail("sum() can't sum strings [use ''.join(seq) instead]");
    const Cursor next = iterate(runtime, self);
    for (Value item; next(item);) total = binary(runtime, BinaryOperator::add, total, path.of(runtime, item));
    return total;
}

// --- cutting ---

Value batch(Runtime& runtime, const Value& self, const Bound& arguments) {
    const Value size = arguments.at(0);  // anything, which a length may never equal
    std::vector<Value> batches, current;
    const Cursor next = iterate(runtime, self);
    for (Value item; next(item);) {
        if (equals(static_cast<int64_t>(current.size()), size))
            batches.push_back(Value::list(std::exchange(current, {})));
        current.push_back(item);
    }
    if (!current.empty()) {
        if (arguments.given(1) && less(static_cast<int64_t>(current.size()), size)) {
            const auto wanted = static_cast<size_t>(arguments.integer(0, 1));
            runtime.charge_product(wanted, sizeof(Value));
            current.resize(wanted, arguments.at(1));
        }
        batches.push_back(Value::list(std::move(current)));
    }
    return items_of(std::move(batches));
}

Value slice(Runtime& runtime, const Value& self, const Bound& arguments) {
    const int64_t count = arguments.integer(0, 1);
    if (count == 0) fail("integer division or modulo by zero");
    if (count < 0) return items_of({});
    const std::vector<Value> items = to_items(runtime, self);
    const auto slices = static_cast<size_t>(count);
    runtime.charge_product(slices, sizeof(Value) + sizeof(Sequence));
    const size_t each = items.size() / slices, longer = items.size() % slices;
    std::vector<Value> result;
    for (size_t i = 0, begin = 0; i < slices; ++i) {
        const size_t size = each + (i < longer ? 1 : 0);
        const auto from = items.begin() + static_cast<ptrdiff_t>(begin);
        std::vector<Value> part(from, from + static_cast<ptrdiff_t>(size));
        if (arguments.given(1) && i >= longer) part.push_back(arguments.at(1));
        result.push_back(Value::list(std::move(part)));
        begin += size;
    }
    return items_of(std::move(result));
}

constexpr Builtin table[] = {
    {"length", "", length},
    {"count", "", length},
    {"first", "", first},
    {"last", "", last},
    {"list", "", list},
    {"join", "d attribute", join},
    {"items", "", items},
    {"reverse", "", reverse},
    {"map", "*", map},
    {"select", "*", select<true, false>},
    {"reject", "*", select<false, false>},
    {"selectattr", "*", select<true, true>},
    {"rejectattr", "*", select<false, true>},
    {"sort", "reverse case_sensitive attribute", sort},
    {"dictsort", "case_sensitive by reverse", dictsort},
    {"unique", "case_sensitive attribute", unique},
    {"min", "case_sensitive attribute", extreme<false>},
    {"max", "case_sensitive attribute", extreme<true>},
    {"groupby", "attribute! default case_sensitive", groupby},
    {"sum", "attribute start", sum},
    {"batch", "linecount! fill_with", batch},
    {"slice", "slices! fill_with", slice},
};

}  // namespace

std::span<const Builtin> sequence_filters() { return table; }

}  // namespace troupe::jinja
