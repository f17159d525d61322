#include "net/requests.hpp"

#include <limits>

#include "net/request_fields.hpp"
#include "net/utf8.hpp"

namespace troupe::net {
namespace {

constexpr std::size_t kMaxPrompts = 128;  // prompts, choices of a prompt, and all choices together
constexpr std::uint32_t kDefaultCompletionTokens = 16;  // OpenAI's
constexpr std::int64_t kMaxLogprobs = 20;               // OpenAI's for chat, vLLM's for all

// Known fields of OpenAI's and vLLM's APIs that wait for later versions, at the values that ask for nothing.
std::vector<NeutralField> sampling_neutral() {
    return {
        {"length_penalty", {"1"}},
        {"use_beam_search", {"false"}},
        {"top_n_sigma", {"-1", "0"}},
        {"mirostat", {"0"}},
        {"no_repeat_ngram_size", {"0"}},
        {"early_stopping", {"false"}},
        {"bad_words", {"[]"}},
        {"allowed_token_ids", {}},
        {"logits_processors", {"[]"}},
        {"response_format", {R"({"type":"text"})"}},
        {"structured_outputs", {}},
        {"guided_json", {}},
        {"guided_regex", {}},
        {"guided_choice", {}},
        {"guided_grammar", {}},
        {"grammar", {}},
        {"json_schema", {}},
        {"structural_tag", {}},
        {"return_token_ids", {"false"}},
        {"thinking_token_budget", {}},
        {"include_reasoning", {"true"}},
        {"prompt_embeds", {}},
        {"vllm_xargs", {"{}"}},
        {"mm_processor_kwargs", {"{}"}},
        {"media_io_kwargs", {"{}"}},
        {"kv_transfer_params", {"{}"}},
        {"detokenize", {"true"}},
    };
}

template <class Request>
Schema<Request> schema_of(std::vector<Field<Request>> own, std::vector<NeutralField> neutral) {
    Schema<Request> schema{common_fields<Request>(),
                           std::move(neutral),
                           {"prompt_cache_options",
                            // As in vLLM with fast tokenizers: they put no spaces there.
                            "spaces_between_special_tokens"}};
    schema.fields.insert(schema.fields.end(), own.begin(), own.end());
    for (const NeutralField& field : sampling_neutral()) schema.neutral.push_back(field);
    return schema;
}

Status read_prompts(std::vector<Prompt>& prompts, const FieldValue& value) {
    const std::string_view allowed =
        "a string, a list of strings, a list of token ids or a list of such lists";
    const auto add_ids = [&](const FieldValue& ids) -> Status {
        auto tokens = read_token_ids(ids);
        if (!tokens) return tokens.error();
        if (tokens->empty()) return wrong_value(ids, "a list of at least one token id");
        prompts.emplace_back(TokenPrompt{*std::move(tokens)});
        return {};
    };
    if (value.json.is_string()) {
        prompts.emplace_back(TextPrompt{*read_string(value)});
        return {};
    }
    simdjson::dom::array list;
    if (value.json.get(list) != simdjson::SUCCESS || list.size() == 0) return wrong_value(value, allowed);
    if (list.begin() != list.end() && (*list.begin()).is_number()) return add_ids(value);
    return for_each_element(value, [&](const FieldValue& element) -> Status {
        if (prompts.size() == kMaxPrompts) {
            return invalid_argument(
                "prompt holds more than " + std::to_string(kMaxPrompts) + " prompts; send fewer", "prompt");
        }
        if (element.json.is_array()) return add_ids(element);
        if (!element.json.is_string()) return wrong_value(element, "a string or a list of token ids");
        prompts.emplace_back(TextPrompt{*read_string(element)});
        return {};
    });
}

template <class Request>
Status read_prompt_logprobs(Request& request, const FieldValue& value) {
    return read_integer_into(request.sampling.prompt_logprobs, value, 0, kMaxLogprobs);
}

template <class Request>
Status read_truncation(Request& request, const FieldValue& value) {
    const auto number = read_integer(value, -1, std::numeric_limits<std::int32_t>::max());
    if (!number || *number == 0)
        return wrong_value(value, "a number of tokens, at least 1, or -1 for as many as fit");
    request.sampling.truncate_prompt_tokens = static_cast<std::int32_t>(*number);
    return {};
}

const Schema<CompletionRequest>& completion_schema() {
    using R = CompletionRequest;
    using V = FieldValue;
    static const Schema<R> schema = schema_of<R>(
        {{"prompt", [](R& r, const V& v) { return read_prompts(r.prompts, v); }},
         {"max_tokens",
          [](R& r, const V& v) { return read_integer_into(r.sampling.max_tokens, v, 0, kMaxUint32); }},
         {"logprobs",
          [](R& r, const V& v) { return read_integer_into(r.sampling.logprobs, v, 0, kMaxLogprobs); }},
         {"add_special_tokens", [](R& r, const V& v) { return assign(r.add_special_tokens, read_bool(v)); }},
         {"echo", [](R& r, const V& v) { return assign(r.echo, read_bool(v)); }},
         {"prompt_logprobs", read_prompt_logprobs<R>},
         {"truncate_prompt_tokens", read_truncation<R>},
         {"return_tokens_as_token_ids",
          [](R& r, const V& v) { return assign(r.tokens_as_ids, read_bool(v)); }},
         {"n", [](R& r, const V& v) { return read_integer_into(r.n, v, 1, kMaxPrompts); }},
         {"best_of", [](R& r, const V& v) { return read_integer_into(r.best_of, v, 1, kMaxPrompts); }}},
        {{"suffix", {"\"\""}}});
    return schema;
}

// The fields that say what a chat template sees, wherever messages are rendered.
template <class Request>
std::vector<Field<Request>> template_fields() {
    using R = Request;
    using V = FieldValue;
    return {
        {"add_generation_prompt",
         [](R& r, const V& v) { return assign(r.options.add_generation_prompt, read_bool(v)); }},
        {"continue_final_message",
         [](R& r, const V& v) { return assign(r.options.continue_final_message, read_bool(v)); }},
        {"tools", [](R& r, const V& v) { return read_tools(r.options.tools, v, MessageStyle::chat); }},
        {"tool_choice", [](R& r, const V& v) { return read_tool_choice(r.options, v); }},
        {"documents", [](R& r, const V& v) { return read_documents(r.options.documents, v); }},
        {"chat_template_kwargs",
         [](R& r, const V& v) { return read_template_arguments(r.options.arguments, v); }},
        {"reasoning_effort", [](R& r, const V& v) { return read_reasoning_effort(r.options, v); }},
    };
}

template <class Request>
std::vector<Field<Request>> with_template_fields(std::vector<Field<Request>> fields) {
    for (const Field<Request>& field : template_fields<Request>()) fields.push_back(field);
    return fields;
}

const Schema<ChatRequest>& chat_schema() {
    using R = ChatRequest;
    using V = FieldValue;
    static const Schema<R> schema = schema_of<R>(
        with_template_fields<R>(
            {{"messages", [](R& r, const V& v) { return read_messages(r.messages, v, MessageStyle::chat); }},
             {"max_tokens",
              [](R& r, const V& v) { return read_integer_into(r.sampling.max_tokens, v, 1, kMaxUint32); }},
             {"n", [](R& r, const V& v) { return read_integer_into(r.n, v, 1, kMaxPrompts); }},
             {"logprobs", [](R& r, const V& v) { return assign(r.logprobs, read_bool(v)); }},
             {"top_logprobs",
              [](R& r, const V& v) { return read_integer_into(r.top_logprobs, v, 0, kMaxLogprobs); }},
             {"prompt_logprobs", read_prompt_logprobs<R>},
             {"truncate_prompt_tokens", read_truncation<R>},
             {"max_completion_tokens",
              [](R& r, const V& v) {
                  return read_integer_into(r.max_completion_tokens, v, 1, kMaxUint32);
              }}}),
        {{"echo", {"false"}},
         {"return_tokens_as_token_ids", {"false"}},
         {"parallel_tool_calls", {"true", "false"}},
         {"functions", {"[]"}},
         {"function_call", {"\"none\"", "\"auto\""}},
         {"modalities", {"[\"text\"]"}},
         {"audio", {}},
         {"prediction", {}},
         {"service_tier", {"\"auto\"", "\"default\""}},
         {"verbosity", {"\"medium\""}},
         {"web_search_options", {}},
         {"moderation", {}},
         {"chat_template", {}}});
    return schema;
}

// What a response is to hold beyond what it holds anyway.
Status read_include(ResponseRequest& request, const FieldValue& value) {
    return for_each_element(value, [&](const FieldValue& element) -> Status {
        constexpr std::string_view logprobs = "message.output_text.logprobs";
        auto name = read_string(element);
        if (!name) return name.error();
        if (*name != logprobs) {
            return invalid_argument(element.path + " is \"" + shortened(*name, 60) +
                                        "\", which is not supported; allowed is \"" + std::string(logprobs) +
                                        "\"",
                                    "include", "unsupported_parameter");
        }
        request.logprobs = true;
        return {};
    });
}

Status read_input(ResponseRequest& request, const FieldValue& value) {
    request.input_given = true;
    return read_input_items(request.input, value);
}

const Schema<ResponseRequest>& response_schema() {
    using R = ResponseRequest;
    using V = FieldValue;
    static const Schema<R> schema = schema_of<R>(
        {{"input", [](R& r, const V& v) { return read_input(r, v); }},
         {"instructions", [](R& r, const V& v) { return assign(r.instructions.emplace(), read_string(v)); }},
         {"previous_response_id",
          [](R& r, const V& v) { return assign(r.previous_response_id.emplace(), read_string(v)); }},
         {"background", [](R& r, const V& v) { return assign(r.background, read_bool(v)); }},
         {"generate", [](R& r, const V& v) { return assign(r.generate, read_bool(v)); }},
         {"tools",
          [](R& r, const V& v) {
              r.tools = simdjson::minify(v.json);
              return read_tools(r.options.tools, v, MessageStyle::responses);
          }},
         {"tool_choice", [](R& r, const V& v) { return read_tool_choice(r.options, v); }},
         {"chat_template_kwargs",
          [](R& r, const V& v) { return read_template_arguments(r.options.arguments, v); }},
         {"reasoning", [](R& r, const V& v) { return read_reasoning(r.options, v); }},
         {"include", [](R& r, const V& v) { return read_include(r, v); }},
         {"top_logprobs",
          [](R& r, const V& v) { return read_integer_into(r.top_logprobs, v, 0, kMaxLogprobs); }},
         {"max_output_tokens",
          [](R& r, const V& v) { return read_integer_into(r.sampling.max_tokens, v, 1, kMaxUint32); }}},
        {{"n", {"1"}},
         {"prompt_logprobs", {}},
         {"truncate_prompt_tokens", {}},
         {"parallel_tool_calls", {"true", "false"}},
         {"max_tool_calls", {}},
         {"text",
          {"{}", R"({"format":{"type":"text"}})", R"({"format":{"type":"text"},"verbosity":"medium"})"}},
         {"truncation", {"\"disabled\""}},
         {"service_tier", {"\"auto\"", "\"default\""}},
         {"conversation", {}},
         {"context_management", {"[]"}},
         {"prompt", {}},
         {"moderation", {}},
         {"image", {}},
         {"background_options", {}},
         {"access_programs", {}}});
    return schema;
}

const Schema<TokenizeRequest>& tokenize_schema() {
    using R = TokenizeRequest;
    using V = FieldValue;
    static const Schema<R> schema{
        with_template_fields<R>(
            {{"model", [](R& r, const V& v) { return assign(r.model, read_string(v)); }},
             {"prompt", [](R& r, const V& v) { return assign(r.prompt.emplace(), read_string(v)); }},
             {"messages",
              [](R& r, const V& v) { return read_messages(r.messages.emplace(), v, MessageStyle::chat); }},
             {"add_special_tokens",
              [](R& r, const V& v) { return assign(r.add_special_tokens.emplace(), read_bool(v)); }}}),
        {{"return_token_strs", {"false"}}, {"chat_template", {}}},
        {}};
    return schema;
}

const Schema<DetokenizeRequest>& detokenize_schema() {
    using R = DetokenizeRequest;
    using V = FieldValue;
    static const Schema<R> schema{
        {{"model", [](R& r, const V& v) { return assign(r.model, read_string(v)); }},
         {"tokens", [](R& r, const V& v) { return assign(r.tokens.emplace(), read_token_ids(v)); }}},
        {},
        {}};
    return schema;
}

template <class Request>
std::vector<std::string> names_of(const Schema<Request>& schema) {
    std::vector<std::string> names;
    for (const auto& field : schema.fields) names.emplace_back(field.name);
    return names;
}

Status check_choices(const CompletionRequest& request) {
    if (request.prompts.size() * request.n > kMaxPrompts) {
        return invalid_argument("n is " + std::to_string(request.n) + " for " +
                                    std::to_string(request.prompts.size()) +
                                    " prompts, but a request may have at most " +
                                    std::to_string(kMaxPrompts) + " choices; send several requests",
                                "n");
    }
    const auto best_of = request.best_of.value_or(1);
    if (best_of != 1 && best_of != request.n) {
        return invalid_argument(
            "best_of is not supported: leave it out or set it to n (got " + std::to_string(best_of) + ")",
            "best_of", "unsupported_parameter");
    }
    return {};
}

template <class Request>
Result<Request> parse(std::string_view body, const Schema<Request>& schema, std::string_view endpoint,
                      UnknownFields& unknown) {
    auto document = parse_json(body);
    if (!document) return document.error();
    Request request;
    auto status = read_request((*document)->root, schema, endpoint, unknown, request);
    if (!status) return status.error();
    return request;
}

Status ask_for_logprobs(CommonRequest& request, const char* allowed_when) {
    if (request.top_logprobs.value_or(0) > 0 && !request.logprobs) {
        return invalid_argument(std::string("top_logprobs is only allowed when ") + allowed_when,
                                "top_logprobs");
    }
    if (request.logprobs) request.sampling.logprobs = request.top_logprobs.value_or(0);
    return {};
}

Status check_response(ResponseRequest& request) {
    if (!request.input_given) {
        return invalid_argument("input is missing; it must be a string or a list of message items", "input");
    }
    if (request.input.empty() && !request.previous_response_id) {
        return invalid_argument("input must hold at least one message", "input");
    }
    if (request.background && request.store == false) {
        return invalid_argument(
            "background is only allowed when store is true: a background response is read later",
            "background");
    }
    return ask_for_logprobs(request, "include holds \"message.output_text.logprobs\"");
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body, UnknownFields& unknown) {
    auto request = parse(body, completion_schema(), "/v1/completions", unknown);
    if (!request) return request;
    if (request->prompts.empty()) {
        return invalid_argument(
            "prompt is missing; it must be a string, a list of strings, a list of token ids or a list of "
            "such lists",
            "prompt");
    }
    if (auto status = check_common(*request); !status) return status.error();
    if (auto status = check_choices(*request); !status) return status.error();
    for (Prompt& prompt : request->prompts) {
        if (auto* text = std::get_if<TextPrompt>(&prompt)) text->add_special = request->add_special_tokens;
    }
    RequestedSampling& sampling = request->sampling;
    if (!sampling.max_tokens) sampling.max_tokens = kDefaultCompletionTokens;
    if (sampling.max_tokens == 0U && !request->echo && !sampling.prompt_logprobs) {
        return invalid_argument("max_tokens must be at least 1; 0 is allowed with echo or prompt_logprobs",
                                "max_tokens");
    }
    return request;
}

Result<ChatRequest> parse_chat(std::string_view body, UnknownFields& unknown) {
    auto request = parse(body, chat_schema(), "/v1/chat/completions", unknown);
    if (!request) return request;
    if (request->messages.empty()) {
        return invalid_argument("messages must be a list of at least one message", "messages");
    }
    if (auto status = check_common(*request); !status) return status.error();
    if (auto status = check_template_options(request->options, request->messages); !status)
        return status.error();
    if (auto status = ask_for_logprobs(*request, "logprobs is true"); !status) return status.error();
    if (request->max_completion_tokens) request->sampling.max_tokens = request->max_completion_tokens;
    return request;
}

Result<ResponseRequest> parse_response(std::string_view body, UnknownFields& unknown) {
    auto request = parse(body, response_schema(), "/v1/responses", unknown);
    if (!request) return request;
    if (auto status = check_common(*request); !status) return status.error();
    if (auto status = check_response(*request); !status) return status.error();
    return request;
}

Result<ResponseRequest> parse_response(const Json& message, UnknownFields& unknown) {
    static const Schema<ResponseRequest> schema = [] {
        Schema<ResponseRequest> with_envelope = response_schema();
        for (const std::string_view name : {"type", "stream_id", "event_id"})
            with_envelope.ignored.push_back(name);
        return with_envelope;
    }();
    ResponseRequest request;
    if (auto status = read_request(message, schema, "WebSocket /v1/responses", unknown, request); !status) {
        return status.error();
    }
    if (auto status = check_response(request); !status) return status.error();
    if (request.background) {
        return invalid_argument("background is not supported over WebSocket; use POST /v1/responses",
                                "background");
    }
    return request;
}

Result<TokenizeRequest> parse_tokenize(std::string_view body, UnknownFields& unknown) {
    auto request = parse(body, tokenize_schema(), "/tokenize", unknown);
    if (!request) return request;
    if (request->prompt.has_value() == request->messages.has_value()) {
        return invalid_argument("give either prompt (a string) or messages (a list of messages)", "prompt");
    }
    if (request->messages) {
        if (auto status = check_template_options(request->options, *request->messages); !status)
            return status.error();
    }
    if (request->messages && request->add_special_tokens.value_or(false)) {
        return invalid_argument(
            "add_special_tokens must be false or absent with messages: the chat template writes the special "
            "tokens itself",
            "add_special_tokens", "unsupported_parameter");
    }
    return request;
}

Result<DetokenizeRequest> parse_detokenize(std::string_view body, UnknownFields& unknown) {
    auto request = parse(body, detokenize_schema(), "/detokenize", unknown);
    if (!request) return request;
    if (!request->tokens)
        return invalid_argument("tokens is missing; it must be a list of token ids", "tokens");
    return request;
}

std::vector<std::string> request_fields(std::string_view endpoint) {
    if (endpoint == "/v1/completions") return names_of(completion_schema());
    if (endpoint == "/v1/chat/completions") return names_of(chat_schema());
    if (endpoint == "/v1/responses") return names_of(response_schema());
    if (endpoint == "/tokenize") return names_of(tokenize_schema());
    if (endpoint == "/detokenize") return names_of(detokenize_schema());
    return {};
}

}  // namespace troupe::net
