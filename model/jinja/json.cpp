#include "model/jinja/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cmath>

#include "model/jinja/error.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

Value convert(const simdjson::dom::element& element) {
    using simdjson::dom::element_type;
    switch (element.type()) {
        case element_type::ARRAY: {
            std::vector<Value> items;
            const simdjson::dom::array array = element;
            for (const simdjson::dom::element item : array) items.push_back(convert(item));
            return Value::list(std::move(items));
        }
        case element_type::OBJECT: {
            Dict dict;
            const simdjson::dom::object object = element;
            for (const auto& [key, value] : object) dict.set(Value(key), convert(value));
            return dict;
        }
        case element_type::INT64:
            return int64_t(element);
        case element_type::UINT64:
            fail("an integer does not fit into 64 bits with sign");
        case element_type::DOUBLE:
            return double(element);
        case element_type::STRING:
            return Value(std::string_view(element));
        case element_type::BOOL:
            return bool(element);
        case element_type::NULL_VALUE:
            return {};
    }
    return {};
}

class JsonWriter {
  public:
    explicit JsonWriter(const JsonFormat& format) : format_(format) {}

    void write(const Value& value) {
        switch (value.kind()) {
            case Value::Kind::none:
                out_ += "null";
                return;
            case Value::Kind::boolean:
                out_ += value.as_bool() ? "true" : "false";
                return;
            case Value::Kind::integer:
                out_ += std::to_string(value.as_integer());
                return;
            case Value::Kind::floating:
                out_ += number(value.as_float());
                return;
            case Value::Kind::string:
                write_string(value.text());
                return;
            case Value::Kind::dict:
                write_dict(value.dict());
                return;
            case Value::Kind::sequence:
                if (value.sequence().flavor == Sequence::Flavor::list || value.sequence().is_tuple()) {
                    write_list(value.sequence());
                    return;
                }
                break;
            default:
                break;
        }
        fail("Object of type " + std::string(value.type_name()) + " is not JSON serializable");
    }

    std::string take() { return std::move(out_); }

  private:
    static std::string number(double d) {
        if (std::isnan(d)) return "NaN";
        if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
        return repr_of(d);
    }

    void new_line() {
        if (!format_.indent) return;
        out_ += '\n';
        for (int i = 0; i < level_; ++i) out_ += *format_.indent;
    }

    void write_list(const Sequence& list) {
        if (list.items.empty()) {
            out_ += "[]";
            return;
        }
        out_ += '[';
        ++level_;
        for (size_t i = 0; i < list.items.size(); ++i) {
            if (i) out_ += format_.item_separator;
            new_line();
            write(list.items[i]);
        }
        --level_;
        new_line();
        out_ += ']';
    }

    static std::string key_text(const Value& key) {
        switch (key.kind()) {
            case Value::Kind::string:
                return key.text();
            case Value::Kind::none:
                return "null";
            case Value::Kind::boolean:
                return key.as_bool() ? "true" : "false";
            case Value::Kind::integer:
                return std::to_string(key.as_integer());
            case Value::Kind::floating:
                return number(key.as_float());
            default:
                fail("keys must be str, int, float, bool or None, not " + std::string(key.type_name()));
        }
    }

    void write_dict(const Dict& dict) {
        if (dict.size() == 0) {
            out_ += "{}";
            return;
        }
        std::vector<const Dict::Entry*> entries;
        for (const Dict::Entry& entry : dict.entries()) entries.push_back(&entry);
        if (format_.sort_keys)
            std::stable_sort(entries.begin(), entries.end(),
                             [](const auto* a, const auto* b) { return less(a->first, b->first); });
        out_ += '{';
        ++level_;
        for (size_t i = 0; i < entries.size(); ++i) {
            if (i) out_ += format_.item_separator;
            new_line();
            write_string(key_text(entries[i]->first));
            out_ += format_.key_separator;
            write(entries[i]->second);
        }
        --level_;
        new_line();
        out_ += '}';
    }

    void write_unit(char32_t unit) {
        static constexpr char hex[] = "0123456789abcdef";
        out_ += "\\u";
        for (int shift = 12; shift >= 0; shift -= 4) out_ += hex[unit >> shift & 0xf];
    }

    void write_string(std::string_view text) {
        out_ += '"';
        for (size_t i = 0; i < text.size();) {
            const size_t begin = i;
            const char32_t c = unicode::decode(text, i);
            switch (c) {
                case '"':
                    out_ += "\\\"";
                    break;
                case '\\':
                    out_ += "\\\\";
                    break;
                case '\n':
                    out_ += "\\n";
                    break;
                case '\r':
                    out_ += "\\r";
                    break;
                case '\t':
                    out_ += "\\t";
                    break;
                case '\f':
                    out_ += "\\f";
                    break;
                case '\b':
                    out_ += "\\b";
                    break;
                default:
                    if (c < 0x20 || (format_.ensure_ascii && c > 0x7e && c < 0x10000)) {
                        write_unit(c);
                    } else if (format_.ensure_ascii && c >= 0x10000) {
                        write_unit(0xd800 + ((c - 0x10000) >> 10));
                        write_unit(0xdc00 + ((c - 0x10000) & 0x3ff));
                    } else {
                        out_ += text.substr(begin, i - begin);
                    }
            }
        }
        out_ += '"';
    }

    const JsonFormat& format_;
    std::string out_;
    int level_ = 0;
};

}  // namespace

Result<Value> parse_json(std::string_view text) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto code = parser.parse(text.data(), text.size()).get(root))
        return invalid_argument(std::string("This is not valid JSON: ") + simdjson::error_message(code));
    try {
        return convert(root);
    } catch (const TemplateError& error) {
        return invalid_argument("This JSON cannot be used: " + error.message + ".");
    }
}

std::string to_json(const Value& value, const JsonFormat& format) {
    JsonWriter writer(format);
    writer.write(value);
    return writer.take();
}

}  // namespace troupe::jinja
