// text % values: https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
#include <cmath>

#include "model/jinja/error.hpp"
#include "model/jinja/number_format.hpp"
#include "model/jinja/operators.hpp"
#include "model/jinja/print.hpp"
#include "model/jinja/unicode.hpp"

namespace troupe::jinja {
namespace {

class PercentFormatter {
  public:
    PercentFormatter(Runtime& runtime, const std::string& format, const Value& arguments)
        : runtime_(runtime), format_(format), arguments_(arguments) {}

    std::string run() {
        while (at_ < format_.size()) {
            const size_t percent = std::min(format_.find('%', at_), format_.size());
            out_.append(format_, at_, percent - at_);
            at_ = percent + 1;
            if (percent < format_.size()) convert();
        }
        const bool one = !is_tuple() && !arguments_.is_dict() && !arguments_.is_undefined() && !is_list();
        if ((is_tuple() && used_ < arguments_.sequence().items.size()) || (one && used_ == 0))
            fail("not all arguments converted during string formatting");
        runtime_.charge(out_.size());
        return std::move(out_);
    }

  private:
    bool is_tuple() const { return arguments_.is_sequence() && arguments_.sequence().is_tuple(); }
    // Python takes anything with keys or subscripts for a mapping, which need not be used up.
    bool is_list() const {
        return arguments_.is_sequence() && !is_tuple() && arguments_.sequence().subscriptable();
    }

    const Value& next_argument() {
        if (is_tuple()) {
            if (used_ >= arguments_.sequence().items.size()) fail("not enough arguments for format string");
            return arguments_.sequence().items[used_++];
        }
        if (used_++ > 0) fail("not enough arguments for format string");
        return arguments_;
    }

    char peek() const {
        if (at_ >= format_.size()) fail("incomplete format");
        return format_[at_];
    }

    int number() {
        if (peek() == '*') {
            ++at_;
            return parse_width(std::to_string(integer_of(next_argument(), "* in a format")));
        }
        const size_t begin = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return begin == at_ ? 0 : parse_width(std::string_view(format_).substr(begin, at_ - begin));
    }

    // One conversion, after its "%".
    void convert() {
        const size_t begin = at_;
        std::optional<Value> keyed;
        if (peek() == '(') {
            const size_t close = format_.find(')', at_);
            if (close == std::string::npos) fail("incomplete format key");
            if (!arguments_.is_dict()) fail("format requires a mapping");
            const std::string key = format_.substr(at_ + 1, close - at_ - 1);
            const Value* found = arguments_.dict().field(key);
            if (!found) fail("KeyError: " + repr_of_string(key));
            keyed = *found;
            at_ = close + 1;
        }
        bool left = false, plus = false, space = false, zero = false;
        NumberFormat number_format;
        for (;; ++at_) {
            const char flag = peek();
            if (flag == '-')
                left = true;
            else if (flag == '+')
                plus = true;
            else if (flag == ' ')
                space = true;
            else if (flag == '0')
                zero = true;
            else if (flag == '#')
                number_format.alternate = true;
            else
                break;
        }
        const int width = number();
        if (peek() == '.') {
            ++at_;
            number_format.precision = number();
        }
        while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
        number_format.conversion = format_[at_++];
        if (number_format.conversion == '%' &&
            at_ == begin + 1) {  // with anything between, it is no conversion
            out_ += '%';
            return;
        }
        const Value argument = keyed ? *keyed : next_argument();
        bool negative = false, is_number = true;
        const std::string text = converted(argument, number_format, negative, is_number);
        const std::string_view sign = negative ? "-" : !is_number ? "" : plus ? "+" : space ? " " : "";
        const bool fill_zero = zero && is_number && !left;
        out_ += pad(runtime_, sign, text, width, fill_zero ? "0" : " ", left ? '<' : fill_zero ? '=' : '>');
    }

    std::string converted(const Value& argument, NumberFormat format, bool& negative, bool& is_number) {
        switch (format.conversion) {
            case 'd':
            case 'i':
            case 'u': {
                format.conversion = 'd';
                const double truncated = argument.is_float() ? std::trunc(argument.as_float()) : 0;
                if (!(std::abs(truncated) < 0x1p63)) fail("%d format: an integer does not fit into 64 bits");
                const int64_t value =
                    argument.is_float() ? static_cast<int64_t>(truncated) : integer_of(argument, "%d format");
                negative = value < 0;
                std::string digits = format_integer(value, format);
                if (static_cast<int>(digits.size()) < format.precision)
                    digits.insert(0, static_cast<size_t>(format.precision) - digits.size(), '0');
                return digits;
            }
            case 'x':
            case 'X':
            case 'o': {
                const int64_t value = integer_of(argument, "%x format");
                negative = value < 0;
                return format_integer(value, format);
            }
            case 'e':
            case 'E':
            case 'f':
            case 'F':
            case 'g':
            case 'G': {
                const double value = float_of(argument, "%f format");
                negative = std::signbit(value) && !std::isnan(value);
                return format_float(value, format);
            }
            default:
                break;
        }
        is_number = false;
        runtime_.charge(argument.extent().weight);
        std::string text;
        if (format.conversion == 's') {
            text = text_of(argument);
        } else if (format.conversion == 'r') {
            text = repr_of(argument);
        } else if (format.conversion == 'a') {
            text = ascii_of(argument);
        } else if (format.conversion == 'c') {
            if (argument.is_integer() || argument.is_bool()) {
                const int64_t c = integer_of(argument, "%c format");
                if (c < 0 || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                    fail("%c arg not in range(0x110000)");
                unicode::append(text, static_cast<char32_t>(c));
            } else {
                text = text_of(argument);
                if (!argument.is_string() || unicode::length(text) != 1) fail("%c requires int or char");
            }
        } else {
            fail(std::string("unsupported format character '") + format.conversion + "'");
        }
        if (format.precision >= 0)
            text.resize(unicode::byte_offset(text, static_cast<size_t>(format.precision)));
        return text;
    }

    Runtime& runtime_;
    const std::string& format_;
    const Value& arguments_;
    size_t at_ = 0;
    size_t used_ = 0;
    std::string out_;
};

}  // namespace

std::string format_percent(Runtime& runtime, const std::string& format, const Value& arguments) {
    return PercentFormatter(runtime, format, arguments).run();
}

}  // namespace troupe::jinja
