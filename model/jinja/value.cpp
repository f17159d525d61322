#include "model/jinja/value.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>

#include "model/jinja/error.hpp"

namespace troupe::jinja {

void Extent::enclose(const Extent& child) {
    depth = std::max(depth, child.depth + 1);
    weight += child.weight;
    if (depth > max_depth) fail("values are nested too deeply");
    if (weight > max_weight) fail("a value is too large");
}

Sequence::Sequence(Flavor kind, std::vector<Value> values, std::string printed)
    : flavor(kind), items(std::move(values)), repr(std::move(printed)) {
    for (const Value& item : items) extent.enclose(item.extent());
}

bool Sequence::subscriptable() const {
    return flavor == Flavor::list || flavor == Flavor::range || is_tuple();
}

Value::Value(Sequence sequence) : data_(std::make_shared<const Sequence>(std::move(sequence))) {}
Value::Value(Dict dict) : data_(std::make_shared<const Dict>(std::move(dict))) {}

Value Value::undefined(std::string message) {
    Value value;
    value.data_ = std::make_shared<const Undefined>(Undefined{std::move(message)});
    return value;
}
Value Value::list(std::vector<Value> items) { return Sequence(Sequence::Flavor::list, std::move(items)); }
Value Value::tuple(std::vector<Value> items) { return Sequence(Sequence::Flavor::tuple, std::move(items)); }

bool Value::truthy() const {
    switch (kind()) {
        case Kind::undefined:
        case Kind::none:
            return false;
        case Kind::boolean:
            return as_bool();
        case Kind::integer:
            return as_integer() != 0;
        case Kind::floating:
            return as_float() != 0;
        case Kind::string:
            return !text().empty();
        case Kind::sequence:
            return !sequence().items.empty();
        case Kind::dict:
            return dict().size() != 0;
        case Kind::object:
            return true;
    }
    return false;
}

static std::string_view flavor_name(Sequence::Flavor flavor) {
    switch (flavor) {
        case Sequence::Flavor::list:
            return "list";
        case Sequence::Flavor::tuple:
            return "tuple";
        case Sequence::Flavor::range:
            return "range";
        case Sequence::Flavor::dict_keys:
            return "dict_keys";
        case Sequence::Flavor::dict_values:
            return "dict_values";
        case Sequence::Flavor::dict_items:
            return "dict_items";
        case Sequence::Flavor::group:
            return "_GroupTuple";
    }
    return "";
}

std::string_view Value::type_name() const {
    switch (kind()) {
        case Kind::undefined:
            return "Undefined";
        case Kind::none:
            return "NoneType";
        case Kind::boolean:
            return "bool";
        case Kind::integer:
            return "int";
        case Kind::floating:
            return "float";
        case Kind::string:
            return is_markup() ? "Markup" : "str";
        case Kind::sequence:
            return flavor_name(sequence().flavor);
        case Kind::dict:
            return "dict";
        case Kind::object:
            return object()->type_name();
    }
    return "";
}

Extent Value::extent() const {
    switch (kind()) {
        case Kind::string:
            return {0, text().size() + 2};
        case Kind::sequence:
            return sequence().extent;
        case Kind::dict:
            return dict().extent();
        case Kind::object:
            return object()->extent();
        default:
            return {0, 8};
    }
}

bool Value::same_as(const Value& other) const {
    if (kind() != other.kind()) return false;
    switch (kind()) {
        case Kind::none:
            return true;
        case Kind::boolean:
            return as_bool() == other.as_bool();
        // CPython shares small integers; larger ones and floats are told apart by where they were made.
        case Kind::integer:
            return as_integer() == other.as_integer() && as_integer() >= -5 && as_integer() <= 256;
        case Kind::floating:
            return false;
        case Kind::undefined:
            return std::get<UndefinedPtr>(data_) == std::get<UndefinedPtr>(other.data_);
        case Kind::string:
            return std::get<StringPtr>(data_) == std::get<StringPtr>(other.data_);
        case Kind::sequence:
            return std::get<SequencePtr>(data_) == std::get<SequencePtr>(other.data_);
        case Kind::dict:
            return std::get<DictPtr>(data_) == std::get<DictPtr>(other.data_);
        case Kind::object:
            return object() == other.object();
    }
    return false;
}

// bool and int, which compare and hash alike.
static std::optional<int64_t> integral(const Value& value) {
    if (value.is_bool()) return value.as_bool() ? 1 : 0;
    if (value.is_integer()) return value.as_integer();
    return std::nullopt;
}

static bool equals_float(int64_t i, double d) {
    return d == std::floor(d) && std::abs(d) < 0x1p63 && static_cast<int64_t>(d) == i;
}

static bool equal_items(const Sequence& a, const Sequence& b) {
    if (a.flavor == Sequence::Flavor::dict_values) return &a == &b;
    const auto family = [](const Sequence& s) { return s.is_tuple() ? Sequence::Flavor::tuple : s.flavor; };
    return family(a) == family(b) &&
           std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equals);
}

static bool equal_dicts(const Dict& a, const Dict& b) {
    if (a.size() != b.size()) return false;
    return std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
        const Value* other = b.find(entry.first);
        return other && equals(entry.second, *other);
    });
}

bool equals(const Value& a, const Value& b) {
    const auto i = integral(a), j = integral(b);
    if (i && j) return *i == *j;
    if (i && b.is_float()) return equals_float(*i, b.as_float());
    if (j && a.is_float()) return equals_float(*j, a.as_float());
    if (a.kind() != b.kind()) return false;
    switch (a.kind()) {
        case Value::Kind::undefined:
        case Value::Kind::none:
            return true;
        case Value::Kind::floating:
            return a.as_float() == b.as_float();
        case Value::Kind::string:
            return a.text() == b.text();
        case Value::Kind::sequence:
            return equal_items(a.sequence(), b.sequence());
        case Value::Kind::dict:
            return equal_dicts(a.dict(), b.dict());
        default:
            return a.object() == b.object();
    }
}

bool hashable(const Value& value) {
    if (value.is_dict()) return false;
    if (!value.is_sequence()) return true;
    const Sequence& s = value.sequence();
    if (s.flavor == Sequence::Flavor::range || s.flavor == Sequence::Flavor::dict_values) return true;
    return s.is_tuple() && std::all_of(s.items.begin(), s.items.end(), hashable);
}

size_t hash_of(const Value& value) {
    if (const auto i = integral(value)) return std::hash<int64_t>{}(*i);
    switch (value.kind()) {
        case Value::Kind::floating: {
            const double d = value.as_float();
            const bool whole = d == std::floor(d) && std::abs(d) < 0x1p63;
            return whole ? std::hash<int64_t>{}(static_cast<int64_t>(d)) : std::hash<double>{}(d);
        }
        case Value::Kind::string:
            return std::hash<std::string_view>{}(value.text());
        case Value::Kind::sequence: {
            if (value.sequence().flavor == Sequence::Flavor::dict_values)
                return std::hash<const void*>{}(&value.sequence());
            size_t hash = value.sequence().items.size();
            for (const Value& item : value.sequence().items) hash = hash * 1000003 ^ hash_of(item);
            return hash;
        }
        case Value::Kind::object:
            return std::hash<const void*>{}(value.object());
        default:
            return static_cast<size_t>(value.kind());
    }
}

template <class Matches>
size_t Dict::position(size_t hash, Matches&& matches) const {
    if (index_.empty()) {
        const auto found =
            std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return matches(e.first); });
        return static_cast<size_t>(found - entries_.begin());
    }
    for (auto [it, end] = index_.equal_range(hash); it != end; ++it)
        if (matches(entries_[it->second].first)) return it->second;
    return entries_.size();
}

const Value* Dict::find(const Value& key) const {
    if (!hashable(key)) return nullptr;
    const size_t at = position(hash_of(key), [&](const Value& other) { return equals(key, other); });
    return at < entries_.size() ? &entries_[at].second : nullptr;
}

const Value* Dict::field(std::string_view key) const {
    const size_t hash = index_.empty() ? 0 : std::hash<std::string_view>{}(key);
    const size_t at =
        position(hash, [&](const Value& other) { return other.is_string() && other.text() == key; });
    return at < entries_.size() ? &entries_[at].second : nullptr;
}

void Dict::set(Value key, Value value) {
    if (!hashable(key)) fail("unhashable type: '" + std::string(key.type_name()) + "'");
    extent_.enclose(key.extent());
    extent_.enclose(value.extent());
    const size_t hash = hash_of(key);
    const size_t at = position(hash, [&](const Value& other) { return equals(key, other); });
    if (at < entries_.size()) {
        entries_[at].second = std::move(value);
        return;
    }
    entries_.emplace_back(std::move(key), std::move(value));
    if (entries_.size() == indexed_from) {
        for (size_t i = 0; i < entries_.size(); ++i) index_.emplace(hash_of(entries_[i].first), i);
    } else if (!index_.empty()) {
        index_.emplace(hash, at);
    }
}

std::string Object::repr() const { return "<" + std::string(type_name()) + ">"; }
Value Object::attribute(Runtime&, std::string_view name) {
    return Value::undefined("'" + std::string(type_name()) + " object' has no attribute '" +
                            std::string(name) + "'");
}
Value Object::call(Runtime&, Arguments) { fail("'" + std::string(type_name()) + "' object is not callable"); }

}  // namespace troupe::jinja
