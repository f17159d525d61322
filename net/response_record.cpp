#include "net/response_record.hpp"

#include "net/json_writer.hpp"
#include "net/random_id.hpp"
#include "net/request_fields.hpp"

namespace troupe::net {
namespace {

template <class T>
void optional_field(JsonWriter& out, std::string_view name, const std::optional<T>& value) {
    if (value) out.field(name, *value);
}

// Records are our own, so this is a plain table; it is read with the checks of a request all the same.
const Schema<ResponseRecord>& record_schema() {
    using R = ResponseRecord;
    using V = FieldValue;
    static const Schema<R> schema{
        {{"id", [](R& r, const V& v) { return assign(r.id, read_string(v)); }},
         {"created",
          [](R& r, const V& v) {
              return assign(r.created, read_integer(v, 0, std::numeric_limits<std::int64_t>::max()));
          }},
         {"model", [](R& r, const V& v) { return assign(r.model, read_string(v)); }},
         {"messages", [](R& r, const V& v) { return read_messages(r.messages, v, MessageStyle::chat); }},
         {"instructions", [](R& r, const V& v) { return assign(r.instructions.emplace(), read_string(v)); }},
         {"previous_response_id",
          [](R& r, const V& v) { return assign(r.previous_response_id.emplace(), read_string(v)); }},
         {"user", [](R& r, const V& v) { return assign(r.user.emplace(), read_string(v)); }},
         {"tools",
          [](R& r, const V& v) {
              r.tools = simdjson::minify(v.json);
              return Status();
          }},
         {"show_tools", [](R& r, const V& v) { return assign(r.show_tools, read_bool(v)); }},
         {"metadata", [](R& r, const V& v) { return read_metadata(r.metadata, v); }},
         {"temperature", [](R& r, const V& v) { return read_float(r.temperature, v, 0, 2); }},
         {"top_p", [](R& r, const V& v) { return read_float(r.top_p, v, 0, 1); }},
         {"max_output_tokens",
          [](R& r, const V& v) { return read_integer_into(r.max_output_tokens, v, 1, kMaxUint32); }},
         {"logprobs", [](R& r, const V& v) { return read_integer_into(r.logprobs, v, 0, kMaxUint32); }},
         {"background", [](R& r, const V& v) { return assign(r.background, read_bool(v)); }},
         {"store", [](R& r, const V& v) { return assign(r.store, read_bool(v)); }},
         {"generate", [](R& r, const V& v) { return assign(r.generate, read_bool(v)); }}},
        {},
        {}};
    return schema;
}

// What it said, as the assistant's message.
Message answer_of(const ResponseRecord& record, const GenerationSnapshot& snapshot) {
    AnswerReader reader = answer_reader(record, snapshot.thinking);
    AnswerParts said = reader.read(snapshot.output.text, 0);
    said.append(reader.finish(0));
    Message answer{"assistant", std::move(said.content)};
    answer.tool_calls = std::move(said.calls);
    if (!said.reasoning.empty()) answer.reasoning = std::move(said.reasoning);
    return answer;
}

Status continue_from(ResponseRecord& record, const GenerationSnapshot& previous, const std::string& id,
                     bool same_connection) {
    auto before = record_from_json(previous.record);
    if (!before || (!before->store && !same_connection)) return previous_response_not_found(id);
    const auto refused = [&](const std::string& why) {
        return invalid_argument("Previous response '" + id + "' " + why, "previous_response_id",
                                "previous_response_not_completed");
    };
    if (previous.status == GenerationStatus::queued || previous.status == GenerationStatus::in_progress) {
        return refused("is still in progress: wait for its end before you continue it");
    }
    if (previous.status == GenerationStatus::failed) return refused("failed: continue an earlier one");
    if (before->generate) before->messages.push_back(answer_of(*before, previous));
    record.messages = std::move(before->messages);
    return {};
}

}  // namespace

std::string bare_id(const ResponseRecord& record) { return record.id.substr(kResponseIdPrefix.size()); }

AnswerReader answer_reader(const ResponseRecord& record, Thinking thinking) {
    auto tools = record.show_tools ? tool_names(record.tools) : std::vector<std::string>();
    return AnswerReader(thinking, std::move(tools), bare_id(record));
}

std::string to_json(const ResponseRecord& record) {
    JsonWriter out;
    out.begin_object().field("id", record.id).field("created", record.created);
    write_messages(out.field("model", record.model).key("messages"), record.messages);
    if (!record.tools.empty()) out.key("tools").raw(record.tools);
    out.field("show_tools", record.show_tools);
    optional_field(out, "instructions", record.instructions);
    optional_field(out, "previous_response_id", record.previous_response_id);
    optional_field(out, "user", record.user);
    out.key("metadata").begin_object();
    for (const auto& [name, value] : record.metadata) out.field(name, value);
    out.end_object();
    optional_field(out, "temperature", record.temperature);
    optional_field(out, "top_p", record.top_p);
    optional_field(out, "max_output_tokens", record.max_output_tokens);
    optional_field(out, "logprobs", record.logprobs);
    out.field("background", record.background).field("store", record.store);
    return out.field("generate", record.generate).end_object().take();
}

Result<ResponseRecord> record_from_json(std::string_view json) {
    auto document = parse_json(json);
    if (!document) return document.error();
    ResponseRecord record;
    UnknownFields unknown;
    auto status = read_request((*document)->root, record_schema(), "record", unknown, record);
    if (!status) return status.error();
    return record;
}

Result<ResponseRecord> make_record(const ResponseRequest& request, const std::string& model, std::int64_t now,
                                   const GenerationSnapshot* previous, bool same_connection) {
    ResponseRecord record;
    if (previous != nullptr) {
        if (auto status = continue_from(record, *previous, *request.previous_response_id, same_connection);
            !status) {
            return status.error();
        }
    }
    record.id = random_id(kResponseIdPrefix);
    record.created = now;
    record.model = model;
    record.messages.insert(record.messages.end(), request.input.begin(), request.input.end());
    record.instructions = request.instructions;
    record.previous_response_id = request.previous_response_id;
    record.user = request.user;
    record.tools = request.tools;
    record.show_tools = request.options.show_tools;
    record.metadata = request.metadata;
    record.temperature = request.sampling.temperature;
    record.top_p = request.sampling.top_p;
    record.max_output_tokens = request.sampling.max_tokens;
    record.logprobs = request.sampling.logprobs;
    record.background = request.background;
    record.store = request.store.value_or(true);
    record.generate = request.generate;
    return record;
}

Error response_not_found(const std::string& id, std::string param) {
    return {ErrorCode::not_found, "Response with id '" + shortened(id, 80) + "' not found.", std::move(param),
            "response_not_found"};
}

Error previous_response_not_found(const std::string& id) {
    return invalid_argument("Previous response with id '" + shortened(id, 80) + "' not found.",
                            "previous_response_id", "previous_response_not_found");
}

}  // namespace troupe::net
