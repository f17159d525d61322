#include "net/requests.hpp"

#include "net/json_writer.hpp"
#include "net/response_record.hpp"
#include "tests/catch.hpp"
#include "tests/net/test_client.hpp"

using namespace troupe;
using namespace troupe::net;

namespace {

UnknownFields unknown;

Error chat_error(const std::string& field) {
    auto request = parse_chat(R"({"messages":[{"role":"user","content":"x"}],)" + field + "}", unknown);
    return request ? Error{} : request.error();
}

}  // namespace

TEST_CASE("Fields that change nothing at their neutral values are accepted there, and refused elsewhere") {
    const std::string neutral =
        R"("return_token_ids":false,"thinking_token_budget":null,"include_reasoning":true,"prompt_embeds":null,
           "vllm_xargs":{},"mm_processor_kwargs":{},"kv_transfer_params":{},"detokenize":true,"user":"u"})";
    CHECK(parse_chat(R"({"messages":[{"role":"user","content":"x"}],)" + neutral, unknown).ok());
    CHECK(parse_completion(R"({"prompt":"x",)" + neutral, unknown).ok());
    CHECK(parse_response(R"({"input":"x",)" + neutral, unknown).ok());
    for (const char* field : {R"("detokenize":false)", R"("user":5)", R"("return_token_ids":true)"}) {
        CAPTURE(field);
        CHECK_FALSE(parse_completion(R"({"prompt":"x",)" + std::string(field) + "}", unknown).ok());
        CHECK_FALSE(parse_response(R"({"input":"x",)" + std::string(field) + "}", unknown).ok());
    }
}

TEST_CASE("A wrong value is refused with its field, what it is and what is allowed") {
    struct Case {
        std::string field, param, message;
    };
    const auto c = GENERATE(values<Case>({
        {R"("temperature":"hot")", "temperature",
         R"(temperature must be a number between 0 and 2, got "hot")"},
        {R"("temperature":2.1)", "temperature", "temperature must be a number between 0 and 2, got 2.1"},
        {R"("temperature":true)", "temperature", "temperature must be a number between 0 and 2, got true"},
        {R"("top_p":0)", "top_p", "top_p must be a number above 0 and up to 1, got 0"},
        {R"("min_p":-1)", "min_p", "min_p must be a number between 0 and 1, got -1"},
        {R"("top_k":1.5)", "top_k", "top_k must be an integer between -1 and 2147483647, got 1.5"},
        {R"("max_tokens":0)", "max_tokens", "max_tokens must be an integer between 1 and 4294967295, got 0"},
        {R"("max_tokens":1e30)", "max_tokens",
         "max_tokens must be an integer between 1 and 4294967295, got 1e+30"},
        {R"("seed":18446744073709551615)", "seed", "seed must be an integer"},
        {R"("stream":"yes")", "stream", R"(stream must be true or false, got "yes")"},
        {R"("model":[1])", "model", "model must be a string, got [1]"},
        {R"("stop":["a",""])", "stop[1]", "stop[1] must be a string or a list of up to 16 strings"},
        {R"("stop":{})", "stop", "stop must be a string or a list of up to 16 strings"},
        {R"("stop_token_ids":[-1])", "stop_token_ids[0]", "stop_token_ids[0] must be an integer between 0"},
        {R"("metadata":{"a":1})", "metadata", "metadata must be an object of at most 16 strings"},
        {R"("stream_options":{"include_usage":true})", "stream_options", "only allowed when stream is true"},
        {R"("stream":true,"stream_options":7)", "stream_options", "stream_options must be an object, got 7"},
        {R"("deadline_ms":0)", "deadline_ms", "deadline_ms must be an integer between 1"},
        {R"("priority":3000000000)", "priority", "priority must be an integer between -2147483648"},
        {R"("temperature":1,"temperature":1)", "temperature", "temperature is given twice"},
        {R"("n":0)", "n", "n must be an integer between 1 and 128, got 0"},
        {R"("n":129)", "n", "n must be an integer between 1 and 128, got 129"},
        {R"("logprobs":5)", "logprobs", "logprobs must be true or false, got 5"},
        {R"("logprobs":true,"top_logprobs":21)", "top_logprobs", "between 0 and 20, got 21"},
        {R"("top_logprobs":2)", "top_logprobs", "top_logprobs is only allowed when logprobs is true"},
        {R"("prompt_logprobs":-1)", "prompt_logprobs", "between 0 and 20, got -1"},
        {R"("truncate_prompt_tokens":0)", "truncate_prompt_tokens", "must be a number of tokens, at least 1"},
        {R"("echo":true)", "echo", "echo is not supported yet"},
        {R"("presence_penalty":2.5)", "presence_penalty",
         "presence_penalty must be a number between -2 and 2, got 2.5"},
        {R"("frequency_penalty":-3)", "frequency_penalty", "between -2 and 2, got -3"},
        {R"("repetition_penalty":0)", "repetition_penalty", "between 0.01 and 100, got 0"},
        {R"("typical_p":0)", "typical_p", "typical_p must be a number above 0 and up to 1, got 0"},
        {R"("dry_base":0.5)", "dry_base", "dry_base must be a number between 1 and 100, got 0.5"},
        {R"("dry_sequence_breakers":"\n")", "dry_sequence_breakers", "must be a list of up to 16 strings"},
        {R"("dry_sequence_breakers":[""])", "dry_sequence_breakers[0]", "of 1 to 32 bytes"},
        {R"("dry_allowed_length":0)", "dry_allowed_length", "an integer between 1 and"},
        {R"("xtc_probability":1.5)", "xtc_probability", "between 0 and 1, got 1.5"},
        {R"("min_tokens":-1)", "min_tokens", "min_tokens must be an integer between 0"},
        {R"("guided_json":{"type":"object"})", "guided_json",
         "guided_json is not supported yet: leave it out"},
        {R"("return_token_ids":true)", "return_token_ids", "leave it out or set it to false (got true)"},
        {R"("thinking_token_budget":100)", "thinking_token_budget",
         "is not supported yet: leave it out (got"},
        {R"("include_reasoning":false)", "include_reasoning", "leave it out or set it to true (got false)"},
        {R"("prompt_embeds":"aGk=")", "prompt_embeds", "prompt_embeds is not supported yet"},
        {R"("vllm_xargs":{"a":1})", "vllm_xargs", "leave it out or set it to {} (got"},
        {R"("mm_processor_kwargs":{"a":1})", "mm_processor_kwargs", "leave it out or set it to {} (got"},
        {R"("kv_transfer_params":{"a":1})", "kv_transfer_params", "leave it out or set it to {} (got"},
        {R"("detokenize":false)", "detokenize", "leave it out or set it to true (got false)"},
        {R"("user":5)", "user", "user must be a string, got 5"},
        {R"("bad_words":["x"])", "bad_words", "bad_words is not supported yet"},
        {R"("logit_bias":[])", "logit_bias", "logit_bias must be an object of at most 1024 members"},
        {R"("logit_bias":{"x":1})", "logit_bias", "holds \"x\", which is no token id"},
        {R"("logit_bias":{"01":1})", "logit_bias", "holds \"01\", which is no token id"},
        {R"("logit_bias":{"-1":1})", "logit_bias", "holds \"-1\", which is no token id"},
        {R"("logit_bias":{"7":101})", "logit_bias.7", "logit_bias.7 must be a number between -100 and 100"},
        {R"("logit_bias":{"7":1,"7":2})", "logit_bias.7", "logit_bias.7 is given twice"},
        {R"("tools":7)", "tools", "tools must be a list of at most 128 tools, got 7"},
        {R"("tools":[{"type":"function"}])", "tools[0].function", "tools[0].function is missing"},
        {R"("tools":[{"type":"web_search"}])", "tools[0].type",
         "tools of type \"web_search\" are not supported"},
        {R"("tools":[{"type":"function","function":{"description":"x"}}])", "tools[0].function.name",
         "tools[0].function.name is missing"},
        {R"("tools":[{"type":"function","function":{"name":"f","parameters":"x"}}])",
         "tools[0].function.parameters", "tools[0].function.parameters must be a JSON schema object"},
        {R"("tool_choice":"required")", "tool_choice", "cannot be forced to call a tool"},
        {R"("tool_choice":{"type":"function","function":{"name":"f"}})", "tool_choice",
         "cannot be forced to call a tool"},
        {R"("documents":["x"])", "documents[0]", "documents[0] must be an object"},
        {R"("prompt_cache_key":7)", "prompt_cache_key", "prompt_cache_key must be a string, got 7"},
        {R"("safety_identifier":{})", "safety_identifier", "safety_identifier must be a string, got {}"},
        {R"("chat_template_kwargs":[1])", "chat_template_kwargs", "chat_template_kwargs must be an object"},
        {R"("chat_template_kwargs":{"messages":[]})", "chat_template_kwargs.messages",
         "chat_template_kwargs.messages cannot be set here"},
        {R"("reasoning_effort":"huge")", "reasoning_effort", R"(reasoning_effort must be "none")"},
        {R"("continue_final_message":true)", "continue_final_message", "add_generation_prompt"},
        {R"("chat_template":"x")", "chat_template", "chat_template is not supported yet"},
        {R"("response_format":{"type":"json_object"})", "response_format",
         "response_format is not supported yet"},
    }));
    const Error error = chat_error(c.field);
    CAPTURE(c.field);
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(error.param == c.param);
    CHECK(has(error.message, c.message));
}

TEST_CASE("Neutral values, nulls and unknown fields are accepted") {
    const auto* body =
        R"({"messages":[{"role":"user","content":"x"}],"n":1,"n_unknown":{"deep":[1]},"logprobs":false,
        "top_logprobs":0,"presence_penalty":0.0,"frequency_penalty":0,"tools":[],"tool_choice":"none","logit_bias":{},
        "response_format":{"type":"text"},"temperature":null,"max_tokens":null,"stop":null,"user":"u",
        "parallel_tool_calls":true,"stream_options":null,"metadata":null})";
    auto request = parse_chat(body, unknown);
    REQUIRE(request.ok());
    CHECK_FALSE(request->sampling.temperature);
    CHECK_FALSE(request->sampling.max_tokens);
}

TEST_CASE("Sampling fields arrive") {
    auto request = parse_chat(
        R"({"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0.5,"top_p":1,"top_k":-1,"min_p":0.1,
            "seed":-1,"stop":"END","stop_token_ids":[2,3],"ignore_eos":true,"max_tokens":5,"max_completion_tokens":7,
            "typical_p":0.9,"xtc_probability":0.5,"xtc_threshold":0.2,"dry_multiplier":0.8,"dry_base":2,
            "dry_allowed_length":3,"dry_penalty_last_n":100,"dry_sequence_breakers":["\n","x"],"repetition_penalty":1.1,"presence_penalty":-2,
            "frequency_penalty":2,"logit_bias":{"7":-100,"50256":1.5},"min_tokens":3,"skip_special_tokens":false,
            "include_stop_str_in_output":true,"spaces_between_special_tokens":false,"cache_salt":"s",
            "priority":-3,"deadline_ms":1000,"ttft_target_ms":300,"tpot_target_ms":0,"stream":true,"stream_options":{"include_usage":true},"store":true})",
        unknown);
    REQUIRE(request.ok());
    const RequestedSampling& sampling = request->sampling;
    CHECK(sampling.temperature == 0.5F);
    CHECK(sampling.top_k == 0);
    CHECK(sampling.seed == ~std::uint64_t{0});
    CHECK(sampling.stop == std::vector<std::string>{"END"});
    CHECK(sampling.stop_token_ids == std::vector<TokenId>{2, 3});
    CHECK(sampling.ignore_eos);
    CHECK(sampling.max_tokens == 7);
    CHECK(sampling.typical_p == 0.9F);
    CHECK(sampling.xtc_probability == 0.5F);
    CHECK(sampling.xtc_threshold == 0.2F);
    CHECK(sampling.dry == RequestedDry{0.8F, 2.0F, 3, 100, std::vector<std::string>{"\n", "x"}});
    CHECK(sampling.repetition_penalty == 1.1F);
    CHECK(sampling.presence_penalty == -2.0F);
    CHECK(sampling.frequency_penalty == 2.0F);
    CHECK(sampling.logit_bias == std::vector<LogitBias>{{7, -100.0F}, {50256, 1.5F}});
    CHECK(sampling.min_tokens == 3);
    CHECK_FALSE(sampling.skip_special);
    CHECK(sampling.include_stop);
    CHECK(request->priority == -3);
    CHECK(request->ttft_target_ms == 300);
    CHECK(request->tpot_target_ms == 0);
    CHECK(request->deadline_ms == 1000);
    CHECK(request->include_usage);
}

TEST_CASE("n and best_of: as many choices as one request may have") {
    const auto completion = [](const std::string& fields) {
        return parse_completion("{" + fields + "}", unknown);
    };
    CHECK(completion(R"("prompt":"a")")->n == 1);
    CHECK(completion(R"("prompt":"a","n":128,"best_of":128)")->n == 128);
    CHECK(completion(R"("prompt":["a","b"],"n":64,"best_of":1)").ok());
    const auto many = completion(R"("prompt":["a","b"],"n":65)");
    REQUIRE_FALSE(many.ok());
    CHECK(many.error().param == "n");
    CHECK(has(many.error().message, "n is 65 for 2 prompts, but a request may have at most 128 choices"));
    const auto best = completion(R"("prompt":"a","n":2,"best_of":3)");
    REQUIRE_FALSE(best.ok());
    CHECK(best.error().param == "best_of");
    CHECK(best.error().tag == "unsupported_parameter");
}

TEST_CASE("Prompts come in four shapes") {
    const auto prompts = [](const std::string& json) {
        return parse_completion(R"({"prompt":)" + json + "}", unknown);
    };
    CHECK(prompts(R"("a")")->prompts == std::vector<Prompt>{TextPrompt{"a"}});
    CHECK(prompts(R"(["a","b"])")->prompts.size() == 2);
    CHECK(prompts("[1,2]")->prompts == std::vector<Prompt>{TokenPrompt{{1, 2}}});
    CHECK(prompts("[[1],[2,3]]")->prompts == std::vector<Prompt>{TokenPrompt{{1}}, TokenPrompt{{2, 3}}});
    CHECK(prompts(R"("a")")->sampling.max_tokens == 16);
    CHECK(prompts(R"("a","add_special_tokens":false)")->prompts ==
          std::vector<Prompt>{TextPrompt{"a", false}});
    for (const char* bad :
         {"null", "7", "[]", "[[]]", "{}", "[1,\"a\"]", "[true]", "[-1]", "[1.5]", "[99999999999]"}) {
        CAPTURE(bad);
        const auto request = prompts(bad);
        REQUIRE_FALSE(request.ok());
        CHECK(request.error().param.starts_with("prompt"));
    }
}

TEST_CASE("Messages: contents, roles and what is refused") {
    const auto messages = [](const std::string& json) {
        return parse_chat(R"({"messages":)" + json + "}", unknown);
    };
    auto good =
        messages(R"([{"role":"developer","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},
        {"role":"assistant","content":null,"tool_calls":null,"refusal":null},{"role":"user","name":"n","content":"é"}])");
    REQUIRE(good.ok());
    CHECK(good->messages ==
          std::vector<Message>{{"developer", "a\nb"}, {"assistant", ""}, {"user", "é", "n"}});
    CHECK(template_variables(good->messages) ==
          R"({"messages":[{"role":"developer","content":"a\nb"},{"role":"assistant","content":""},)"
          R"({"role":"user","name":"n","content":"é"}],"add_generation_prompt":true})");

    struct Case {
        std::string json, param;
    };
    const auto c = GENERATE(values<Case>({
        {"[]", "messages"},
        {"\"x\"", "messages"},
        {"[7]", "messages[0]"},
        {R"([{"content":"x"}])", "messages[0].role"},
        {R"([{"role":"king","content":"x"}])", "messages[0].role"},
        {R"([{"role":"user"}])", "messages[0].content"},
        {R"([{"role":"user","content":null}])", "messages[0].content"},
        {R"([{"role":"user","content":7}])", "messages[0].content"},
        {R"([{"role":"user","content":[{"type":"image_url"}]}])", "messages[0].content[0].type"},
        {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
        {R"([{"role":"user","content":["x"]}])", "messages[0].content[0]"},
        {R"([{"role":"user","role":"user","content":"x"}])", "messages[0].role"},
        {R"([{"role":"user","content":[{"type":"text","text":"x"},{"type":"input_audio"}]}])",
         "messages[0].content[1].type"},
        {R"([{"role":"assistant","content":"x","tool_calls":[{}]}])", "messages[0].tool_calls[0].function"},
        {R"([{"role":"assistant","tool_calls":[{"type":"custom"}]}])", "messages[0].tool_calls[0].type"},
        {R"([{"role":"assistant","tool_calls":[{"function":{"arguments":"{}"}}]}])",
         "messages[0].tool_calls[0].function.name"},
        {R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"[1]"}}]}])",
         "messages[0].tool_calls[0].function.arguments"},
        {R"([{"role":"user","content":"x","tool_calls":[{"function":{"name":"f"}}]}])",
         "messages[0].tool_calls"},
        {R"([{"role":"tool","content":"x","tool_call_id":7}])", "messages[0].tool_call_id"},
        {R"([{"role":"assistant","function_call":{"name":"f"}}])", "messages[0].function_call"},
    }));
    const auto bad = messages(c.json);
    CAPTURE(c.json);
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().param == c.param);
}

TEST_CASE("Tools, tool calls and template arguments reach the template") {
    auto request = parse_chat(
        R"({"messages":[{"role":"user","content":"Rain?"},
            {"role":"assistant","content":null,"reasoning_content":"Look.","tool_calls":[{"id":"c1","type":"function",
             "function":{"name":"f","arguments":"{\"x\": 1.50}"}},{"function":{"name":"g","arguments":""}}]},
            {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"yes"}]},
            {"role":"function","name":"g","content":"no"}],
            "tools":[{"type":"function","function":{"name":"f","parameters":{"b":1,"a":[0.1]},"strict":null}}],
            "tool_choice":"auto","documents":[{"title":"t"}],"reasoning_effort":"none","parallel_tool_calls":false,
            "add_generation_prompt":false,"chat_template_kwargs":{"enable_thinking":true,"deep":{"k":[null]}}})",
        unknown);
    REQUIRE(request.ok());
    CHECK(template_variables(request->messages, request->options) ==
          R"({"messages":[{"role":"user","content":"Rain?"},{"role":"assistant","content":null,)"
          R"("reasoning_content":"Look.","tool_calls":[{"id":"c1","type":"function","function":{"name":"f",)"
          R"("arguments":"{\"x\": 1.50}"}},{"type":"function","function":{"name":"g","arguments":"{}"}}]},)"
          R"({"role":"tool","content":"yes","tool_call_id":"c1"},{"role":"tool","name":"g","content":"no"}],)"
          R"("add_generation_prompt":false,"tools":[{"type":"function","function":{"name":"f",)"
          R"("parameters":{"b":1,"a":[0.1]},"strict":null}}],"documents":[{"title":"t"}],)"
          R"("reasoning_effort":"none","enable_thinking":false,"enable_thinking":true,"deep":{"k":[null]}})");
    request->options.show_tools = false;
    CHECK_FALSE(has(template_variables(request->messages, request->options), "tools\""));
}

TEST_CASE("A final message can be continued") {
    const auto with = [](const std::string& last, const std::string& more) {
        return parse_chat(R"({"messages":[{"role":"user","content":"x"},)" + last +
                              R"(],"continue_final_message":true)" + more + "}",
                          unknown);
    };
    const std::string assistant = R"({"role":"assistant","content":"On"})";
    const auto good = with(assistant, R"(,"add_generation_prompt":false)");
    REQUIRE(good.ok());
    CHECK(has(template_variables(good->messages, good->options), R"("continue_final_message":true)"));
    CHECK_FALSE(with(assistant, "").ok());
    CHECK_FALSE(with(R"({"role":"assistant","content":""})", R"(,"add_generation_prompt":false)").ok());
}

TEST_CASE("What is not JSON is refused clearly") {
    for (const std::string& bad :
         {std::string(), std::string("{"), std::string("[1,2"), std::string("nul"),
          std::string(R"({"prompt":"a"} x)"), std::string("{\"prompt\":\"\xff\"}"),
          std::string(R"({"prompt":"\ud800"})"), std::string("{\"prompt\":\"a\nb\"}"),
          std::string(R"({"temperature":NaN})"), std::string(R"({"temperature":1e999})"),
          std::string(R"({"a":123456789012345678901234567890})"), std::string(10000, '['),
          "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}", std::string("7"),
          std::string("[]"), std::string("\0", 1), std::string("\xef\xbb\xbf")}) {
        CAPTURE(bad.substr(0, 50));
        const auto request = parse_completion(bad, unknown);
        REQUIRE_FALSE(request.ok());
        CHECK(request.error().code == ErrorCode::invalid_argument);
        CHECK_FALSE(request.error().message.empty());
    }
    CHECK(has(parse_completion(std::string(100, '[') + std::string(100, ']'), unknown).error().message,
              "nested more than 64 deep"));
    CHECK(has(parse_completion("{\"prompt\":\"\xff\"}", unknown).error().message, "not valid UTF-8"));
}

TEST_CASE("A number that is none names its field") {
    const auto error = [](const std::string& body) { return parse_completion(body, unknown).error(); };
    const auto c = GENERATE(values<std::pair<std::string, std::string>>({
        {R"({"prompt":"a","max_tokens":1e400})", "max_tokens is 1e400"},
        {R"({"prompt":"\"a\": 1e9","max_tokens" : -1e400 })", "max_tokens is -1e400"},
        {R"({"logit_bias":{"1":1,"5":1e400}})", "logit_bias.5 is 1e400"},
        {R"({"a":[{"b":1}],"stop_token_ids":[1,01]})", "stop_token_ids is 01"},
        {R"({"seed":123456789012345678901234567890})", "seed is 123456789012345678901234567890"},
    }));
    const Error one = error(c.first);
    CHECK(has(one.message, c.second));
    CHECK(one.param == c.second.substr(0, c.second.find(' ')));
    CHECK(one.tag == "invalid_json");
    std::string long_list = "{\"prompt\":[1";
    for (int i = 0; i < 2000; ++i) long_list += ",1";
    CHECK(error(long_list + "],\"seed\":1e400}").param.empty());  // nobody waits for a longer search
}

TEST_CASE("Responses: input, background and their errors") {
    auto text = parse_response(R"({"input":"hi","instructions":"be brief","max_output_tokens":3})", unknown);
    REQUIRE(text.ok());
    CHECK(text->input == std::vector<Message>{{"user", "hi"}});
    CHECK(text->sampling.max_tokens == 3);
    auto items = parse_response(R"({"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]},
        {"type":"message","id":"msg_1","status":"completed","role":"assistant",
         "content":[{"type":"output_text","text":"b","annotations":[]}]}]})",
                                unknown);
    REQUIRE(items.ok());
    CHECK(items->input == std::vector<Message>{{"user", "a"}, {"assistant", "b"}});

    struct Case {
        std::string json, param;
    };
    const auto c = GENERATE(values<Case>({
        {R"({})", "input"},
        {R"({"input":[]})", "input"},
        {R"({"input":7})", "input"},
        {R"({"input":[{"type":"item_reference","id":"x"}]})", "input[0].type"},
        {R"({"input":[{"type":"function_call_output","call_id":"x"}]})", "input[0].output"},
        {R"({"input":[{"type":"function_call","call_id":"x"}]})", "input[0].name"},
        {R"({"input":[{"type":7}]})", "input[0].type"},
        {R"({"input":[{"role":"user","content":[{"type":"input_image"}]}]})", "input[0].content[0].type"},
        {R"({"input":"x","background":true,"store":false})", "background"},
        {R"({"input":"x","truncation":"auto"})", "truncation"},
        {R"({"input":"x","generate":"no"})", "generate"},
        {R"({"input":"x","tools":[{"type":"web_search"}]})", "tools[0].type"},
        {R"({"input":"x","tools":[{"type":"function"}]})", "tools[0].name"},
        {R"({"input":"x","tool_choice":"required"})", "tool_choice"},
        {R"({"input":"x","reasoning":{"effort":"huge"}})", "reasoning.effort"},
        {R"({"input":"x","reasoning":{"summary":"detailed"}})", "reasoning.summary"},
        {R"({"input":"x","chat_template_kwargs":{"tools":[]}})", "chat_template_kwargs.tools"},
    }));
    const auto bad = parse_response(c.json, unknown);
    CAPTURE(c.json);
    REQUIRE_FALSE(bad.ok());
    CHECK(bad.error().param == c.param);
}

TEST_CASE("Input items become messages: calls, their outputs and reasoning") {
    auto request = parse_response(
        R"({"input":[{"type":"message","role":"user","content":"Rain?"},
            {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"Look."}]},
            {"type":"message","role":"assistant","content":[{"type":"output_text","text":"So"},{"type":"refusal","refusal":"no"}]},
            {"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"x\":1}"},
            {"type":"function_call","call_id":"c2","name":"g","arguments":"{}"},
            {"type":"function_call_output","call_id":"c1","output":"yes"},
            {"type":"function_call_output","call_id":"c2","output":[{"type":"input_text","text":"no"}]}],
            "tools":[{"type":"function","name":"f","parameters":{},"strict":true}],"reasoning":{"effort":"low"}})",
        unknown);
    REQUIRE(request.ok());
    const Message assistant{"assistant", "So\nno", {}, {{"c1", "f", R"({"x":1})"}, {"c2", "g", "{}"}},
                            {},          "Look."};
    CHECK(request->input ==
          std::vector<Message>{
              {"user", "Rain?"}, assistant, {"tool", "yes", {}, {}, "c1"}, {"tool", "no", {}, {}, "c2"}});
    CHECK(request->options.tools ==
          R"([{"type":"function","function":{"name":"f","parameters":{},"strict":true}}])");
    CHECK(request->options.reasoning_effort == "low");
}

TEST_CASE("What is kept with a response, or repeated in an error, is short") {
    const auto quoted = [](std::size_t bytes) { return '"' + std::string(bytes, 'x') + '"'; };
    const auto parse = [](const std::string& members) {
        return parse_response("{\"input\":\"x\"," + members + "}", unknown);
    };
    CHECK(parse("\"user\":" + quoted(512)).ok());
    const auto user = parse("\"user\":" + quoted(513));
    REQUIRE_FALSE(user.ok());
    CHECK(user.error().param == "user");
    CHECK(has(user.error().message, "at most 512 bytes"));
    const auto named = [&](std::size_t bytes) {
        return parse_response(R"({"input":[{"role":"user","content":"x","name":)" + quoted(bytes) + "}]}",
                              unknown);
    };
    CHECK(named(512).ok());
    REQUIRE_FALSE(named(513).ok());
    CHECK(named(513).error().param == "input[0].name");

    const auto item = parse_response(R"({"input":[{"type":)" + quoted(100000) + "}]}", unknown);
    const auto part =
        parse_response(R"({"input":[{"role":"user","content":[{"type":)" + quoted(100000) + "}]}]}", unknown);
    for (const auto& bad : {item, part}) {
        REQUIRE_FALSE(bad.ok());
        CHECK(bad.error().tag == "unsupported_parameter");
        CHECK(bad.error().message.size() < 300);
    }
}

TEST_CASE("A response's record survives its journey") {
    ResponseRecord record;
    record.id = "resp_1";
    record.created = 1700000000;
    record.model = "m";
    record.messages = {{"user", "a \"quoted\" é\n", "name"},
                       {"assistant", "", {}, {{"c1", "f", R"({"x":1})"}, {{}, "g", "{}"}}, {}, "hm"},
                       {"tool", "y", {}, {}, "c1"}};
    record.tools = R"([{"type":"function","name":"f"}])";
    record.show_tools = false;
    record.instructions = "be brief";
    record.previous_response_id = "resp_0";
    record.metadata = {{"k", "v"}};
    record.temperature = 0.7F;
    record.max_output_tokens = 5;
    record.store = false;
    auto back = record_from_json(to_json(record));
    REQUIRE(back.ok());
    CHECK(*back == record);
}

TEST_CASE("A conversation continues the record and text of the response before it") {
    auto first = parse_response(R"({"input":"one","instructions":"old"})", unknown);
    auto record = make_record(*first, "m", 1, nullptr);
    GenerationSnapshot snapshot;
    snapshot.record = to_json(*record);
    snapshot.output.text = "answer";
    auto second = parse_response(R"({"input":"two","previous_response_id":"resp_1"})", unknown);
    SECTION("with its text as the assistant's message, without its instructions") {
        snapshot.status =
            GENERATE(GenerationStatus::completed, GenerationStatus::incomplete, GenerationStatus::cancelled);
        auto next = make_record(*second, "m", 2, &snapshot);
        REQUIRE(next.ok());
        CHECK(next->messages ==
              std::vector<Message>{{"user", "one"}, {"assistant", "answer"}, {"user", "two"}});
        CHECK_FALSE(next->instructions);
    }
    SECTION("not while it runs, nor when it failed") {
        snapshot.status =
            GENERATE(GenerationStatus::queued, GenerationStatus::in_progress, GenerationStatus::failed);
        auto next = make_record(*second, "m", 2, &snapshot);
        REQUIRE_FALSE(next.ok());
        CHECK(next.error().param == "previous_response_id");
    }
    SECTION("not if it was not to be stored, but on its own connection") {
        record->store = false;
        snapshot.record = to_json(*record);
        snapshot.status = GenerationStatus::completed;
        CHECK(make_record(*second, "m", 2, &snapshot).error().tag == "previous_response_not_found");
        CHECK(make_record(*second, "m", 2, &snapshot, true).ok());
    }
    SECTION("without an answer if it was not to generate any") {
        record->generate = false;
        snapshot.record = to_json(*record);
        snapshot.status = GenerationStatus::completed;
        auto next = make_record(*second, "m", 2, &snapshot);
        REQUIRE(next.ok());
        CHECK(next->messages == std::vector<Message>{{"user", "one", {}}, {"user", "two", {}}});
    }
}

TEST_CASE("JSON text is escaped, and always valid UTF-8") {
    JsonWriter out;
    out.begin_object().field("a\"b", "\x01\t\\é\xF0\x9F\x98\x80").field("bad", "x\xC3y\xED\xA0\x80z");
    out.field("nan", 0.0 / 0.0)
        .field("n", 0.7F)
        .field("t", true)
        .key("l")
        .begin_array()
        .value(1)
        .value(nullptr);
    CHECK(out.end_array().end_object().take() ==
          "{\"a\\\"b\":\"\\u0001\\t\\\\é\xF0\x9F\x98\x80\",\"bad\":"
          "\"x\xEF\xBF\xBDy\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDz\","
          "\"nan\":null,\"n\":0.7,\"t\":true,\"l\":[1,null]}");
}
