// The OpenAPI document is true: its paths are the routes, its request fields those that are accepted, with
// the ranges that are enforced.
#include <set>

#include "net/api.hpp"
#include "net/requests.hpp"
#include "tests/net/fixture.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

using Element = simdjson::dom::element;

// The document as the server gives it.
struct Document {
    Document() { REQUIRE(parser.parse(text).get(root) == simdjson::SUCCESS); }
    Element operator[](const std::string& pointer) const {
        Element value;
        INFO("net/openapi.json: " << pointer);
        REQUIRE(root.at_pointer(pointer).get(value) == simdjson::SUCCESS);
        return value;
    }

    const std::string text = Fixture().get("/openapi.json").body;
    simdjson::dom::parser parser;
    Element root;
};

// The properties of a request schema: its own, and those of the schemas that it is made of.
std::map<std::string, Element> properties(const Document& document, const std::string& schema) {
    std::map<std::string, Element> found;
    const auto add = [&](const std::string& pointer) {
        simdjson::dom::object members;
        if (document.root.at_pointer(pointer + "/properties").get(members) != simdjson::SUCCESS) return;
        for (const auto member : members) found.emplace(member.key, member.value);
    };
    const std::string pointer = "/components/schemas/" + schema;
    add(pointer);
    simdjson::dom::array parts;
    if (document.root.at_pointer(pointer + "/allOf").get(parts) != simdjson::SUCCESS) return found;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::string part = pointer + "/allOf/" + std::to_string(i);
        std::string_view reference;
        const bool refers = document.root.at_pointer(part + "/$ref").get(reference) == simdjson::SUCCESS;
        add(refers ? std::string(reference.substr(1)) : part);
    }
    return found;
}

struct Endpoint {
    std::string path, schema, body;  // a body that is accepted, without its closing brace
};
const std::vector<Endpoint> kEndpoints = {
    {"/v1/completions", "CompletionRequest", R"({"prompt":"x")"},
    {"/v1/chat/completions", "ChatRequest", R"({"messages":[{"role":"user","content":"x"}])"},
    {"/v1/responses", "ResponseRequest", R"({"input":"x")"},
    {"/tokenize", "TokenizeRequest", R"({"prompt":"x")"},
    {"/detokenize", "DetokenizeRequest", R"({"tokens":[1])"},
};

}  // namespace

TEST_CASE("Every route is in the OpenAPI document, and every path of it is a route") {
    const Document document;
    std::set<std::string> documented, served;
    for (const auto path : document["/paths"].get_object()) {
        for (const auto method : path.value.get_object()) {
            std::string name(method.key);
            for (char& c : name) c = static_cast<char>(std::toupper(c));
            documented.insert(name + " " + std::string(path.key));
        }
    }
    for (const auto& [method, path] : route_names())
        served.insert(std::string(method) + " " + std::string(path));
    for (const std::string& one : served) {
        INFO("add this route to \"paths\" in net/openapi.json: " << one);
        CHECK(documented.contains(one));
    }
    for (const std::string& one : documented) {
        INFO("net/openapi.json has a path that is not served: " << one);
        CHECK(served.contains(one));
    }
}

TEST_CASE("The fields that requests accept are those of the OpenAPI document") {
    const Document document;
    for (const Endpoint& endpoint : kEndpoints) {
        const auto documented = properties(document, endpoint.schema);
        const auto accepted = request_fields(endpoint.path);
        REQUIRE_FALSE(accepted.empty());
        for (const std::string& field : accepted) {
            INFO("add to components/schemas/" << endpoint.schema
                                              << " (or CommonRequest) in net/openapi.json: " << field);
            CHECK(documented.contains(field));
        }
        for (const auto& [field, schema] : documented) {
            INFO("net/openapi.json, " << endpoint.schema << " has a field that " << endpoint.path
                                      << " does not read: " << field);
            CHECK(std::find(accepted.begin(), accepted.end(), field) != accepted.end());
        }
    }
}

TEST_CASE("The ranges of the OpenAPI document are those that are enforced") {
    const Document document;
    Fixture fixture;
    fixture.port.on_submit = FakePort::script({"x"});
    // Whether the endpoint finds that value of the field wrong.
    const auto refused = [&](const Endpoint& endpoint, const std::string& field, const std::string& value) {
        const Answer answer =
            fixture.post(endpoint.path, endpoint.body + ",\"" + field + "\":" + value + "}");
        return answer.status == 400 && string_at(answer.body, "/error/param") == field;
    };
    int checked = 0;
    for (const Endpoint& endpoint : kEndpoints) {
        for (const auto& [field, schema] : properties(document, endpoint.schema)) {
            CAPTURE(endpoint.path, field);
            std::int64_t bound = 0;
            const auto has_bound = [&, schema = schema](const char* name) {
                return schema[name].get(bound) == simdjson::SUCCESS;
            };
            if (has_bound("minimum") && ++checked) {
                CHECK_FALSE(refused(endpoint, field, std::to_string(bound)));
                if (bound > INT64_MIN) CHECK(refused(endpoint, field, std::to_string(bound - 1)));
            }
            if (has_bound("maximum") && ++checked) {
                CHECK_FALSE(refused(endpoint, field, std::to_string(bound)));
                if (bound < INT64_MAX) CHECK(refused(endpoint, field, std::to_string(bound + 1)));
            }
            if (has_bound("exclusiveMinimum") && ++checked)
                CHECK(refused(endpoint, field, std::to_string(bound)));
        }
    }
    CHECK(checked > 20);
}
