// The values that templates compute with: Python's None, bool, int, float, str, list, tuple, dict, and
// Jinja's Undefined, plus objects (functions, namespaces, loops, iterators). Values are cheap to copy and,
// but for objects, immutable, so that variables may be shared between threads. Strings are UTF-8 throughout.
#pragma once
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::jinja {

class Dict;
class Object;
class Value;
struct Sequence;

struct None {};
struct Undefined {
    std::string message;  // said when the value is used for more than printing, testing or iterating
};
struct String {
    std::string text;
    bool markup = false;  // made by `safe` or `escape`: `+` escapes what is joined to it
};

// What it takes to walk a value: recursion and time. Values that share parts can be far larger to walk than
// to hold ([x, x] of [x, x] of ...), so containers beyond the limits are refused when they are made.
struct Extent {
    int depth = 0;      // 0 for a scalar, 1 for a list of scalars
    size_t weight = 1;  // about its size in bytes when printed

    static constexpr int max_depth = 200;
    static constexpr size_t max_weight = size_t{1} << 28;

    // Makes this the extent of a container that also holds the child; fails beyond the limits.
    void enclose(const Extent& child);
};

class Value {
  public:
    enum class Kind : unsigned char {
        undefined,
        none,
        boolean,
        integer,
        floating,
        string,
        sequence,
        dict,
        object
    };

    Value() : data_(None{}) {}
    Value(std::same_as<bool> auto b) : data_(b) {}
    template <std::integral T>
    requires(!std::same_as<T, bool>) Value(T i) : data_(static_cast<int64_t>(i)) {}
    Value(double d) : data_(d) {}
    Value(std::string text, bool markup = false)
        : data_(std::make_shared<const String>(String{std::move(text), markup})) {}
    Value(std::string_view text) : Value(std::string(text)) {}
    Value(const char* text) : Value(std::string(text)) {}
    Value(Sequence sequence);
    Value(Dict dict);
    template <std::derived_from<Object> T>
    Value(std::shared_ptr<T> object) : data_(std::shared_ptr<Object>(std::move(object))) {}

    static Value undefined(std::string message);
    static Value list(std::vector<Value> items);
    static Value tuple(std::vector<Value> items);

    Kind kind() const { return static_cast<Kind>(data_.index()); }
    bool is_undefined() const { return kind() == Kind::undefined; }
    bool is_none() const { return kind() == Kind::none; }
    bool is_bool() const { return kind() == Kind::boolean; }
    bool is_integer() const { return kind() == Kind::integer; }
    bool is_float() const { return kind() == Kind::floating; }
    bool is_string() const { return kind() == Kind::string; }
    bool is_sequence() const { return kind() == Kind::sequence; }
    bool is_dict() const { return kind() == Kind::dict; }

    // Preconditions: the kind.
    bool as_bool() const { return std::get<bool>(data_); }
    int64_t as_integer() const { return std::get<int64_t>(data_); }
    double as_float() const { return std::get<double>(data_); }
    const std::string& text() const { return std::get<StringPtr>(data_)->text; }
    bool is_markup() const { return is_string() && std::get<StringPtr>(data_)->markup; }
    const Sequence& sequence() const { return *std::get<SequencePtr>(data_); }
    const Dict& dict() const { return *std::get<DictPtr>(data_); }
    const std::string& undefined_message() const { return std::get<UndefinedPtr>(data_)->message; }

    // The object, if it is one of that class; else null.
    template <class T = Object>
    T* object() const {
        const auto* held = std::get_if<std::shared_ptr<Object>>(&data_);
        return held ? dynamic_cast<T*>(held->get()) : nullptr;
    }

    bool truthy() const;                 // Python's bool(value)
    std::string_view type_name() const;  // Python's type(value).__name__
    Extent extent() const;
    bool same_as(const Value& other) const;  // Python's `is`, as far as it can be told

  private:
    using UndefinedPtr = std::shared_ptr<const Undefined>;
    using StringPtr = std::shared_ptr<const String>;
    using SequencePtr = std::shared_ptr<const Sequence>;
    using DictPtr = std::shared_ptr<const Dict>;
    // In the order of Kind.
    std::variant<UndefinedPtr, None, bool, int64_t, double, StringPtr, SequencePtr, DictPtr,
                 std::shared_ptr<Object>>
        data_;
};

struct Sequence {
    enum class Flavor : unsigned char { list, tuple, range, dict_keys, dict_values, dict_items, group };

    Sequence() = default;
    Sequence(Flavor kind, std::vector<Value> values, std::string printed = {});

    // Python's list, tuple and range take subscripts and slices; views of a dict do not.
    bool subscriptable() const;
    bool is_tuple() const { return flavor == Flavor::tuple || flavor == Flavor::group; }

    Flavor flavor = Flavor::list;
    std::vector<Value> items;
    std::string repr;  // of a range, which does not print its items
    Extent extent{1, 1};
};

bool equals(const Value& a, const Value& b);  // Python's ==
bool hashable(const Value& value);
size_t hash_of(const Value& value);  // equal values have equal hashes; precondition: hashable

// Keeps the order of insertion.
class Dict {
  public:
    using Entry = std::pair<Value, Value>;

    const Value* find(const Value& key) const;       // null when absent or not hashable
    const Value* field(std::string_view key) const;  // the same for a key that is a string
    void set(Value key, Value value);                // fails on a key that is not hashable
    const std::vector<Entry>& entries() const { return entries_; }
    size_t size() const { return entries_.size(); }
    const Extent& extent() const { return extent_; }

  private:
    static constexpr size_t indexed_from = 9;  // smaller ones are searched linearly

    template <class Matches>
    size_t position(size_t hash, Matches&& matches) const;

    std::vector<Entry> entries_;
    std::unordered_multimap<size_t, size_t> index_;  // hash -> position
    Extent extent_{1, 1};
};

class Runtime;
struct Arguments {
    std::vector<Value> positional;
    std::vector<std::pair<std::string, Value>> named;
};

// A value with identity and behaviour of its own.
class Object : public std::enable_shared_from_this<Object> {
  public:
    virtual ~Object() = default;
    virtual std::string_view type_name() const = 0;
    virtual std::string repr() const;
    virtual Value attribute(Runtime& runtime, std::string_view name);  // Undefined when there is none
    virtual bool callable() const { return false; }
    virtual Value call(Runtime& runtime, Arguments arguments);
    virtual Extent extent() const { return {}; }
    // Drops what may hold this object in turn, once rendering is over.
    virtual void release() {}
};

}  // namespace troupe::jinja
