// The functions that every template may call.
#include <algorithm>
#include <ctime>

#include "model/jinja/builtins.hpp"
#include "model/jinja/error.hpp"
#include "model/jinja/print.hpp"

namespace troupe::jinja {
namespace {

Value range(Runtime& runtime, const Value&, const Bound& arguments) {
    const auto& given = arguments.all().positional;
    if (given.empty() || given.size() > 3 || !arguments.all().named.empty())
        fail("range expected 1 to 3 arguments");
    int64_t numbers[3] = {0, 0, 1};
    for (size_t i = 0; i < given.size(); ++i) {
        if (given[i].is_undefined()) fail(given[i].undefined_message());
        if (!given[i].is_integer() && !given[i].is_bool())
            fail("'" + std::string(given[i].type_name()) + "' object cannot be interpreted as an integer");
        numbers[given.size() == 1 ? 1 : i] = given[i].is_bool() ? given[i].as_bool() : given[i].as_integer();
    }
    const int64_t start = numbers[0], stop = numbers[1], step = numbers[2];
    if (step == 0) fail("range() arg 3 must not be zero");
    constexpr size_t max_range = 100000;  // as Jinja's sandbox has it
    std::vector<Value> items;
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (items.size() == max_range) fail("Range too big. The sandbox blocks ranges larger than 100000.");
        items.emplace_back(i);
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    runtime.charge_product(items.size(), sizeof(Value));
    std::string printed = "range(" + std::to_string(start) + ", " + std::to_string(stop);
    printed += step == 1 ? ")" : ", " + std::to_string(step) + ")";
    return Sequence(Sequence::Flavor::range, std::move(items), std::move(printed));
}

// dict(mapping or pairs, name=value, ...)
Dict make_dict(Runtime& runtime, const Arguments& arguments) {
    if (arguments.positional.size() > 1) fail("dict expected at most 1 argument");
    Dict result;
    if (!arguments.positional.empty()) {
        const Value& source = arguments.positional[0];
        if (source.is_undefined()) fail(source.undefined_message());
        if (source.is_dict()) {
            result = source.dict();
        } else {
            const Cursor next = iterate(runtime, source);
            for (Value pair; next(pair);) {
                std::vector<Value> parts = to_items(runtime, pair);
                if (parts.size() != 2) fail("dictionary update sequence element has length other than 2");
                result.set(std::move(parts[0]), std::move(parts[1]));
            }
        }
    }
    for (const auto& [name, value] : arguments.named) result.set(Value(name), value);
    runtime.charge_product(result.size(), sizeof(Dict::Entry));
    return result;
}

Value dict(Runtime& runtime, const Value&, const Bound& arguments) {
    return make_dict(runtime, arguments.all());
}

Value make_namespace(Runtime& runtime, const Value&, const Bound& arguments) {
    const auto space = runtime.keep(std::make_shared<Namespace>(runtime));
    space->fields = make_dict(runtime, arguments.all());
    return space;
}

class Cycler : public Object {
  public:
    explicit Cycler(std::vector<Value> items) : items_(Value::tuple(std::move(items))) {}
    std::string_view type_name() const override { return "Cycler"; }
    Extent extent() const override { return items_.extent(); }
    const Value& current() const { return items_.sequence().items[position_]; }
    Value next() {
        Value value = current();
        position_ = (position_ + 1) % items_.sequence().items.size();
        return value;
    }
    void reset() { position_ = 0; }
    Value attribute(Runtime& runtime, std::string_view name) override;

  private:
    Value items_;
    size_t position_ = 0;
};

constexpr Builtin next_method{
    "next", "", [](Runtime&, const Value& self, const Bound&) { return self.object<Cycler>()->next(); }};
constexpr Builtin reset_method{"reset", "", [](Runtime&, const Value& self, const Bound&) {
                                   self.object<Cycler>()->reset();
                                   return Value();
                               }};

Value Cycler::attribute(Runtime& runtime, std::string_view name) {
    if (name == "current") return current();
    if (name == "next") return bind_method(next_method, shared_from_this());
    if (name == "reset") return bind_method(reset_method, shared_from_this());
    return Object::attribute(runtime, name);
}

Value make_cycler(Runtime&, const Value&, const Bound& arguments) {
    if (arguments.all().positional.empty()) fail("at least one item has to be provided");
    return std::make_shared<Cycler>(arguments.all().positional);
}

class Joiner : public Object {
  public:
    explicit Joiner(Value separator) : separator_(std::move(separator)) {}
    std::string_view type_name() const override { return "Joiner"; }
    bool callable() const override { return true; }
    Value call(Runtime&, Arguments) override { return std::exchange(used_, true) ? separator_ : Value(""); }
    Extent extent() const override { return separator_.extent(); }

  private:
    Value separator_;
    bool used_ = false;
};

Value make_joiner(Runtime&, const Value&, const Bound& arguments) {
    return std::make_shared<Joiner>(arguments.value(0, ", "));
}

Value raise_exception(Runtime&, const Value&, const Bound& arguments) { fail(text_of(arguments.at(0))); }

std::tm broken_down(CivilTime time) {
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(time - day));
    const auto january = std::chrono::local_days(date.year() / std::chrono::January / 1);
    std::tm tm{};
    tm.tm_year = static_cast<int>(date.year()) - 1900;
    tm.tm_mon = static_cast<int>(static_cast<unsigned>(date.month())) - 1;
    tm.tm_mday = static_cast<int>(static_cast<unsigned>(date.day()));
    tm.tm_hour = static_cast<int>(clock.hours().count());
    tm.tm_min = static_cast<int>(clock.minutes().count());
    tm.tm_sec = static_cast<int>(clock.seconds().count());
    tm.tm_wday = static_cast<int>(std::chrono::weekday(day).c_encoding());
    tm.tm_yday = static_cast<int>((day - january).count());
    tm.tm_isdst = -1;
    return tm;
}

// What Python's datetime answers itself, before it asks strftime: %f, and %z and %Z, which a time without
// zone lacks.
std::string without_python_fields(const std::string& format, CivilTime time) {
    std::string result;
    for (size_t i = 0; i < format.size(); ++i) {
        const char field = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
        if (field == 'f') {
            const auto micros = (time - std::chrono::floor<std::chrono::seconds>(time)).count();
            const std::string digits = std::to_string(micros);
            result += std::string(6 - digits.size(), '0') + digits;
        } else if (field == '\0') {
            result += format[i];
            continue;
        } else if (field != 'z' && field != 'Z') {
            (result += '%') += field;
        }
        ++i;
    }
    return result;
}

Value strftime_now(Runtime& runtime, const Value&, const Bound& arguments) {
    const auto& now = runtime.options().now;
    if (!now) fail("strftime_now: the time is not known here");
    // The last character tells an empty result from one that does not fit.
    const std::string format = without_python_fields(arguments.text(0), *now) + "|";
    const std::tm tm = broken_down(*now);
    std::string buffer(format.size() * 8 + 256, '\0');
    runtime.charge(buffer.size());
    const size_t size = std::strftime(buffer.data(), buffer.size(), format.c_str(), &tm);
    if (size == 0) fail("strftime_now: the result is too long");
    return buffer.substr(0, size - 1);
}

constexpr Builtin functions[] = {
    {"range", "*", range},
    {"dict", "*", dict},
    {"namespace", "*", make_namespace},
    {"cycler", "*", make_cycler},
    {"joiner", "sep", make_joiner},
    {"raise_exception", "message!", raise_exception},
    {"strftime_now", "format!", strftime_now},
};

}  // namespace

std::optional<Value> find_global(std::string_view name) {
    for (const Builtin& function : functions)
        if (function.name == name) return bind_method(function, Value());
    return std::nullopt;
}

}  // namespace troupe::jinja
