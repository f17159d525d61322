// Methods of lists, tuples, dicts and numbers.
#include <algorithm>
#include <cmath>

#include "model/jinja/error.hpp"
#include "model/jinja/methods.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"

namespace troupe::jinja {
namespace {

Value view(Runtime& runtime, const Value& self, Sequence::Flavor flavor) {
    std::vector<Value> items;
    runtime.charge_product(self.dict().size(), 2 * sizeof(Value));
    for (const auto& [key, value] : self.dict().entries()) {
        if (flavor == Sequence::Flavor::dict_items)
            items.push_back(Value::tuple({key, value}));
        else
            items.push_back(flavor == Sequence::Flavor::dict_keys ? key : value);
    }
    return Sequence(flavor, std::move(items));
}
template <Sequence::Flavor flavor>
Value dict_view(Runtime& runtime, const Value& self, const Bound&) {
    return view(runtime, self, flavor);
}

Value dict_get(Runtime&, const Value& self, const Bound& arguments) {
    if (!hashable(arguments.at(0)))
        fail("unhashable type: '" + std::string(arguments.at(0).type_name()) + "'");
    const Value* found = self.dict().find(arguments.at(0));
    return found ? *found : arguments.value(1, {});
}

Value copy(Runtime&, const Value& self, const Bound&) { return self; }

Value index_of(Runtime& runtime, const Value& self, const Bound& arguments) {
    const auto& items = self.sequence().items;
    const auto size = static_cast<int64_t>(items.size());
    const auto bound = [&](int64_t index) {
        return std::clamp<int64_t>(index < 0 ? index + size : index, 0, size);
    };
    runtime.step(items.size());
    for (int64_t i = bound(arguments.integer(1, 0)); i < bound(arguments.integer(2, size)); ++i)
        if (equals(items[static_cast<size_t>(i)], arguments.at(0))) return i;
    fail(repr_of(arguments.at(0)) + " is not in " + std::string(self.type_name()));
}

Value count_of(Runtime& runtime, const Value& self, const Bound& arguments) {
    const auto& items = self.sequence().items;
    runtime.step(items.size());
    return std::count_if(items.begin(), items.end(),
                         [&](const Value& item) { return equals(item, arguments.at(0)); });
}

Value is_integer(Runtime&, const Value& self, const Bound&) {
    return std::isfinite(self.as_float()) && self.as_float() == std::floor(self.as_float());
}

constexpr Builtin dict_table[] = {
    {"items", "", dict_view<Sequence::Flavor::dict_items>},
    {"keys", "", dict_view<Sequence::Flavor::dict_keys>},
    {"values", "", dict_view<Sequence::Flavor::dict_values>},
    {"get", "key! default", dict_get},
    {"copy", "", copy},
};
constexpr Builtin sequence_table[] = {{"index", "value! start stop", index_of},
                                      {"count", "value!", count_of}};
constexpr Builtin list_copy{"copy", "", copy};
constexpr Builtin float_is_integer{"is_integer", "", is_integer};

}  // namespace

const Builtin* find_in(std::span<const Builtin> table, std::string_view name) {
    const auto found =
        std::find_if(table.begin(), table.end(), [&](const Builtin& b) { return b.name == name; });
    return found == table.end() ? nullptr : &*found;
}

const Builtin* find_method(const Value& object, std::string_view name) {
    if (object.is_string()) return find_in(string_methods(), name);
    if (object.is_dict()) return find_in(dict_table, name);
    if (object.is_float() && name == float_is_integer.name) return &float_is_integer;
    if (!object.is_sequence() || !object.sequence().subscriptable()) return nullptr;
    if (object.sequence().flavor == Sequence::Flavor::list && name == list_copy.name) return &list_copy;
    return find_in(sequence_table, name);
}

bool mutates(const Value& object, std::string_view name) {
    static constexpr std::string_view of_dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
    static constexpr std::string_view of_list[] = {"append", "clear", "pop",    "reverse",
                                                   "insert", "sort",  "extend", "remove"};
    const auto among = [&](std::span<const std::string_view> names) {
        return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (object.is_dict()) return among(of_dict);
    return object.is_sequence() && object.sequence().flavor == Sequence::Flavor::list && among(of_list);
}

}  // namespace troupe::jinja
