// Typed access to a JSON object, with errors that name file and field. Keeps the first error: read all
// fields, then look at status() once.
#pragma once
#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.hpp"

namespace troupe {

class JsonReader {
  public:
    // `where` begins messages.
    JsonReader(simdjson::dom::object object, std::string where) : object_(object), where_(std::move(where)) {}

    // The member, unless it is absent or null.
    std::optional<simdjson::dom::element> find(std::string_view name) const;

    // Read the field if it is there; an error if it has another type or does not fit.
    void read(std::string_view name, std::uint32_t& value);
    void read(std::string_view name, std::int32_t& value);
    void read(std::string_view name, double& value);
    void read(std::string_view name, float& value);
    void read(std::string_view name, bool& value);
    void read(std::string_view name, std::string& value);
    // The same, but an error if it is absent.
    void require(std::string_view name, std::uint32_t& value);

    void fail(const std::string& what);
    const Status& status() const { return status_; }
    const std::string& where() const { return where_; }

  private:
    template <class T>
    void read_integer(std::string_view name, T& value);

    simdjson::dom::object object_;
    std::string where_;
    Status status_;
};

}  // namespace troupe
