// What filters mean by attribute="a.b.0", and the keys they sort and group by.
#pragma once
#include <vector>

#include "model/jinja/runtime.hpp"
#include "model/jinja/value.hpp"

namespace troupe::jinja {

class AttributePath {
  public:
    // A text with dots, an integer, or None for the item itself.
    explicit AttributePath(const Value& attribute);

    Value of(Runtime& runtime, Value item) const;
    // With a default (not None) in place of what is undefined on the way.
    Value of(Runtime& runtime, Value item, const Value& fallback) const;

  private:
    std::vector<Value> parts_;
};

Value ignore_case(const Value& value);  // strings in lower case, others as they are

}  // namespace troupe::jinja
