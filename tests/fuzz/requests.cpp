// Bodies of POST requests. The first byte picks the endpoint, the rest is the body.
#include <cstdlib>

#include "model/jinja/json.hpp"
#include "net/requests.hpp"
#include "net/response_record.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

void expect(bool condition) {
    if (!condition) std::abort();
}

// An error names what was wrong; a good conversation makes variables that a template can read.
template <class Request>
void check(const Result<Request>& request) {
    if (!request) expect(!request.error().message.empty());
}
void check_variables(const std::vector<Message>& messages, const TemplateOptions& options) {
    const auto variables = jinja::parse_json(template_variables(messages, options));
    expect(variables.ok() || variables.error().message.find("cannot be used") != std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    static UnknownFields unknown;
    const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 5) {
        case 0:
            check(parse_completion(body, unknown));
            break;
        case 1: {
            const auto request = parse_chat(body, unknown);
            check(request);
            if (request) check_variables(request->messages, request->options);
            break;
        }
        case 2: {
            const auto request = parse_response(body, unknown);
            check(request);
            if (!request) break;
            check_variables(request->input, request->options);
            const auto record = make_record(*request, "m", 1, nullptr);
            expect(record.ok());
            const auto back = record_from_json(to_json(*record));
            expect(back.ok() && *back == *record);
            break;
        }
        case 3: {
            const auto request = parse_tokenize(body, unknown);
            check(request);
            if (request && request->messages) check_variables(*request->messages, request->options);
            break;
        }
        default:
            check(parse_detokenize(body, unknown));
    }
    return 0;
}
