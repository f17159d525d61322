// Typed access to a JSON object, with errors that name file and field. Keeps the first error: read all
// fields, then look at status() once.
#pragma once
#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.hpp"

namespace troupe {

class JsonReader {
  public:
    // `where` begins messages.
    JsonReader(simdjson::dom::object object, std::string where) : object_(object), where_(std::move(where)) {}

    // The member, unless it is absent or null.
    std::optional<simdjson::dom::element> find(std::string_view name) const;

    // Whether it is there, be it null.
    bool has(std::string_view name) const;

    // Read the field if it is there; an error if it has another type or does not fit.
    void read(std::string_view name, std::uint32_t& value);
    void read(std::string_view name, std::int32_t& value);
    void read(std::string_view name, double& value);
    void read(std::string_view name, float& value);
    void read(std::string_view name, bool& value);
    void read(std::string_view name, std::string& value);
    // Lists of them.
    void read(std::string_view name, std::vector<std::uint32_t>& values);
    void read(std::string_view name, std::vector<float>& values);
    void read(std::string_view name, std::vector<std::string>& values);
    // The same, but an error if it is absent.
    void require(std::string_view name, std::uint32_t& value);

    // The object of that name, for another reader; empty if there is none, an error if it is something else.
    std::optional<simdjson::dom::object> object(std::string_view name);

    void fail(const std::string& what);
    void fail(const Status& other) {  // of a reader of a part
        if (status_ && !other) status_ = other;
    }
    const Status& status() const { return status_; }
    const std::string& where() const { return where_; }

  private:
    template <class T>
    void read_integer(std::string_view name, T& value);
    template <class Stored, class T>
    void read_list(std::string_view name, std::vector<T>& values, const char* kind);

    simdjson::dom::object object_;
    std::string where_;
    Status status_;
};

}  // namespace troupe
