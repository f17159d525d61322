#include "model/tokenizer/tokenizer.hpp"

#include <chrono>
#include <random>
#include <thread>

#include "model/tokenizer/regex.hpp"
#include "test_paths.hpp"
#include "tests/catch.hpp"
#include "tests/model/formats/file_builders.hpp"
#include "tests/model/tokenizer/case_file.hpp"

namespace troupe {

namespace {

using testing::gguf_string;
using testing::GgufBuilder;
using testing::load_or_fail;
using testing::raw;
using testing::TempDirectory;

const std::filesystem::path vocabularies = std::filesystem::path(TROUPE_TEST_DATA) / "tokenizers";
const std::string names[] = {"byte-level", "split",      "nfc",     "sentencepiece",
                             "metaspace",  "added",      "unigram", "o200k",
                             "falcon",     "normalized", "affixes", "ggml-vocab-gpt-2.gguf"};

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
    const auto ids = tokenizer.encode(text, options);
    REQUIRE(ids.ok());
    return *ids;
}

// A SentencePiece vocabulary of `tokens` with these scores, after <unk>, <s>, </s> and the 256 bytes.
GgufBuilder sentencepiece_file(const std::vector<std::pair<std::string, float>>& tokens) {
    std::string texts = gguf_string("<unk>") + gguf_string("<s>") + gguf_string("</s>");
    std::string scores = raw(0.0F) + raw(0.0F) + raw(0.0F);
    std::string types = raw<std::int32_t>(2) + raw<std::int32_t>(3) + raw<std::int32_t>(3);
    for (int byte = 0; byte < 256; ++byte) {
        char text[8];
        std::snprintf(text, sizeof(text), "<0x%02X>", byte);
        texts += gguf_string(text);
        scores += raw(0.0F);
        types += raw<std::int32_t>(6);
    }
    for (const auto& [text, score] : tokens) {
        texts += gguf_string(text);
        scores += raw(score);
        types += raw<std::int32_t>(1);
    }
    const std::uint64_t count = 259 + tokens.size();
    GgufBuilder file;
    file.string("tokenizer.ggml.model", "llama").array("tokenizer.ggml.tokens", 8, count, texts);
    file.array("tokenizer.ggml.scores", 6, count, scores).array("tokenizer.ggml.token_type", 5, count, types);
    return file;
}

}  // namespace

TEST_CASE("any ids decode, streaming as whole") {
    std::mt19937 random(7);
    for (const std::string& name : names) {
        INFO(name);
        const auto tokenizer = load_or_fail(vocabularies / name);
        for (int round = 0; round < 500; ++round) {
            std::vector<TokenId> ids(random() % 12);
            for (TokenId& id : ids) id = static_cast<TokenId>(random() % (tokenizer->vocab_size() + 3)) - 1;
            const DecodeOptions options{.skip_special = round % 2 == 0, .begins_text = round % 3 != 0};
            StreamingDetokenizer stream(tokenizer, options);
            std::string streamed;
            for (const TokenId id : ids) {
                const std::string piece = stream.push(id);
                REQUIRE(is_valid_utf8(piece));
                streamed += piece;
            }
            streamed += stream.flush();
            REQUIRE(streamed == tokenizer->decode(ids, options));
        }
    }
}

TEST_CASE("text comes back from its ids") {
    const std::string text = " It's 1998: grüße, 日本 🙂\n\n\tx  y ";
    for (const std::string name : {"byte-level", "split", "nfc", "sentencepiece", "ggml-vocab-gpt-2.gguf"}) {
        INFO(name);
        const auto tokenizer = load_or_fail(vocabularies / name);
        CHECK(tokenizer->decode(encode(*tokenizer, text)) == text);
    }
}

TEST_CASE("invalid UTF-8 counts as replacement characters") {
    for (const std::string& name : names) {
        const auto tokenizer = load_or_fail(vocabularies / name);
        for (const std::string bytes : {"\xFF", "a\xE2\x82", "\xC0\x80z", "\xF0\x9F\x99"}) {
            CHECK(encode(*tokenizer, bytes) == encode(*tokenizer, replace_invalid_utf8(bytes)));
        }
    }
}

TEST_CASE("the space that begins a SentencePiece text is dropped only there") {
    const auto tokenizer = load_or_fail(vocabularies / "sentencepiece");
    const auto ids = encode(*tokenizer, "the lamp");
    CHECK(tokenizer->token_text(ids[0]).substr(0, 3) == "▁");
    CHECK(tokenizer->decode(ids) == "the lamp");
    CHECK(tokenizer->decode(ids, {.begins_text = false}) == " the lamp");
}

TEST_CASE("tokens are known by id and by text") {
    const auto tokenizer = load_or_fail(vocabularies / "split");
    CHECK(tokenizer->bos_token() == "<|bos|>");
    CHECK(tokenizer->token_id("<|eos|>") == tokenizer->eos_id());
    CHECK(tokenizer->is_special(*tokenizer->bos_id()));
    const auto space = tokenizer->token_id("Ġ");
    REQUIRE(space);
    CHECK(tokenizer->token_bytes(*space) == " ");
    CHECK_FALSE(tokenizer->is_special(*space));
    CHECK_FALSE(tokenizer->token_id("no such token"));
    CHECK(tokenizer->token_bytes(-1).empty());
    CHECK(tokenizer->token_text(1 << 30).empty());
    const auto added = encode(*tokenizer, "x", {.add_special = true});
    CHECK(added.front() == tokenizer->bos_id());
    CHECK(encode(*tokenizer, "").empty());
}

TEST_CASE("one tokenizer serves several threads") {
    const auto tokenizer = load_or_fail(vocabularies / "ggml-vocab-gpt-2.gguf");
    const std::string text =
        "Many threads tokenize the same words, and words nobody has seen: flibbertigibbets.";
    const auto expected = encode(*tokenizer, text);
    std::vector<std::thread> threads;
    std::atomic<int> wrong = 0;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int round = 0; round < 50; ++round) {
                const auto ids = tokenizer->encode(text);
                if (!ids || *ids != expected) ++wrong;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("a megabyte of one character takes no time to speak of") {
    for (const std::string& name : names) {
        const auto tokenizer = load_or_fail(vocabularies / name);
        for (const std::string unit : {"a", " ", "🙂", "\n", "1", "\xFF"}) {
            std::string text;
            while (text.size() < 1'000'000) text += unit;
            const auto start = std::chrono::steady_clock::now();
            const auto ids = encode(*tokenizer, text);
            const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
            INFO(name << " '" << unit << "' " << seconds.count() << " s");
            // Quadratic time would be hours; the bound leaves room for sanitizers and busy machines.
            CHECK(seconds.count() < 60);
        }
    }
}

TEST_CASE("SentencePiece merges by score, through characters outside of the vocabulary") {
    const TempDirectory directory;
    // "ab" beats "bc"; 🙂x is a token although 🙂 is none.
    const auto file = sentencepiece_file(
        {{"a", -9}, {"b", -9}, {"c", -9}, {"x", -9}, {"ab", -1}, {"bc", -2}, {"🙂x", -3}, {"▁", -4}});
    const auto tokenizer = load_or_fail(directory.write("spm.gguf", file.bytes()));
    const TokenId first = 259;
    CHECK(encode(*tokenizer, "abc") == std::vector<TokenId>{first + 7, first + 4, first + 2});
    CHECK(encode(*tokenizer, "🙂x", {.add_special = true}) ==
          std::vector<TokenId>{1, first + 7, first + 6});
    CHECK(encode(*tokenizer, "🙂") ==
          std::vector<TokenId>{first + 7, 3 + 0xF0, 3 + 0x9F, 3 + 0x99, 3 + 0x82});
    CHECK(tokenizer->decode(encode(*tokenizer, "🙂 é x")) == "🙂 é x");
    CHECK(encode(*tokenizer, "a</s>", {.parse_special = true}) == std::vector<TokenId>{first + 7, first, 2});
    CHECK(tokenizer->eos_id() == 2);  // as bos above, unless the file says otherwise
    auto other = file;
    other.value<std::uint32_t>("tokenizer.ggml.bos_token_id", 4, 2);
    CHECK(load_or_fail(directory.write("other.gguf", other.bytes()))->bos_id() == 2);
}

TEST_CASE("merges of GGUF files may pass through texts that are no tokens") {
    const TempDirectory directory;
    GgufBuilder file;
    file.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
    std::string tokens;
    for (const std::string text : {"a", "b", "c", "abc"}) tokens += gguf_string(text);
    file.array("tokenizer.ggml.tokens", 8, 4, tokens);
    file.array("tokenizer.ggml.merges", 8, 2, gguf_string("a b") + gguf_string("ab c"));
    const auto tokenizer = load_or_fail(directory.write("t.gguf", file.bytes()));
    CHECK(encode(*tokenizer, "abc") == std::vector<TokenId>{3});
    CHECK(encode(*tokenizer, "abab") == std::vector<TokenId>{0, 1, 0, 1});
}

TEST_CASE("Phi-3's special tokens take the white space after them") {
    const TempDirectory directory;
    GgufBuilder file;
    file.string("general.name", "Phi-3 mini")
        .string("tokenizer.ggml.model", "gpt2")
        .string("tokenizer.ggml.pre", "gpt-2");
    std::string tokens;
    for (const std::string text : {"a", "\u0120", "<|user|>", "<s>"}) tokens += gguf_string(text);
    file.array("tokenizer.ggml.tokens", 8, 4, tokens).array("tokenizer.ggml.merges", 8, 0, "");
    file.array("tokenizer.ggml.token_type", 5, 4,
               raw<std::int32_t>(1) + raw<std::int32_t>(1) + raw<std::int32_t>(3) + raw<std::int32_t>(3));
    const auto tokenizer = load_or_fail(directory.write("t.gguf", file.bytes()));
    CHECK(encode(*tokenizer, "a <|user|> \n a<s> a", {.parse_special = true}) ==
          std::vector<TokenId>{0, 1, 2, 0, 3, 1, 0});
}

TEST_CASE("Gemma 4's GGUF files hold merges of text with metaspaces") {
    const TempDirectory directory;
    GgufBuilder file;
    file.string("tokenizer.ggml.model", "gemma4");
    std::string tokens;
    for (const std::string text : {"<bos>", "a", "▁", "▁a", "\n", "\n\n", "<0xC3>", "<0xA9>"})
        tokens += gguf_string(text);
    std::string types = raw<std::int32_t>(3);
    for (const int type : {1, 1, 1, 1, 1, 6, 6}) types += raw<std::int32_t>(type);
    file.array("tokenizer.ggml.tokens", 8, 8, tokens).array("tokenizer.ggml.token_type", 5, 8, types);
    file.array("tokenizer.ggml.merges", 8, 1, gguf_string("▁ a"))
        .value<std::uint32_t>("tokenizer.ggml.bos_token_id", 4, 0);
    const auto tokenizer = load_or_fail(directory.write("t.gguf", file.bytes()));
    const auto ids = encode(*tokenizer, "a a\n\né\n", {.add_special = true});
    CHECK(ids == std::vector<TokenId>{0, 1, 3, 5, 6, 7, 4});
    CHECK(tokenizer->decode(ids) == "a a\n\né\n");
}

TEST_CASE("lying vocabularies in GGUF files are refused by name") {
    const TempDirectory directory;
    const auto refused = [&directory](const GgufBuilder& file, const std::string& reason) {
        const auto tokenizer = load_tokenizer(directory.write("t.gguf", file.bytes()));
        REQUIRE_FALSE(tokenizer.ok());
        INFO(tokenizer.error().message);
        CHECK(tokenizer.error().message.find(reason) != std::string::npos);
        CHECK(tokenizer.error().message.find("t.gguf") != std::string::npos);
    };
    const auto byte_level = [](const std::string& pre, const std::string& merge) {
        GgufBuilder file;
        file.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", pre);
        file.array("tokenizer.ggml.tokens", 8, 3, gguf_string("a") + gguf_string("b") + gguf_string("ab"));
        file.array("tokenizer.ggml.merges", 8, 1, gguf_string(merge));
        return file;
    };
    CHECK(load_tokenizer(directory.write("good.gguf", byte_level("gpt-2", "a b").bytes())).ok());
    refused(byte_level("new-one", "a b"), "'new-one' (tokenizer.ggml.pre) is not known; known are gpt-2");
    refused(byte_level("gpt-2", "ab"), "two tokens");
    refused(byte_level("gpt-2", "a "), "two tokens");
    refused(byte_level("gpt-2", "a b").value<std::uint8_t>("tokenizer.ggml.add_bos_token", 7, 1),
            "no tokenizer.ggml.bos_token_id");
    refused(byte_level("gpt-2", "a b").value<std::uint32_t>("tokenizer.ggml.bos_token_id", 4, 3),
            "bos_token_id");
    refused(byte_level("gpt-2", "a b").array("tokenizer.ggml.token_type", 5, 1, raw<std::int32_t>(1)),
            "token_type");
    refused(GgufBuilder().string("tokenizer.ggml.model", "bert"), "'bert' (tokenizer.ggml.model)");
    refused(GgufBuilder().string("a", "b"), "tokenizer.ggml.model");
    refused(GgufBuilder().string("tokenizer.ggml.model", "gpt2"), "There is no vocabulary");
    refused(sentencepiece_file({{"x", std::nanf("")}}), "not a number");
    refused(sentencepiece_file({{std::string(2000, 'x'), 0.0F}}), "has more than");
    refused(sentencepiece_file({{"\xFF", 0.0F}}), "not valid UTF-8");
}

TEST_CASE("tokenizer.json files that we cannot follow are refused by name") {
    const TempDirectory directory;
    const auto refused = [&directory](const std::string& json, const std::string& reason) {
        const auto tokenizer = load_tokenizer(directory.write("tokenizer.json", json));
        REQUIRE_FALSE(tokenizer.ok());
        INFO(json << "\n" << tokenizer.error().message);
        CHECK(tokenizer.error().message.find(reason) != std::string::npos);
    };
    const std::string model = R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]})";
    CHECK(load_tokenizer(directory.write("tokenizer.json", "{" + model + "}")).ok());
    const auto with = [&model](const std::string& more) { return "{" + more + "," + model + "}"; };
    const auto model_with = [](const std::string& more) { return "{\"model\":{" + more + "}}"; };
    refused("nonsense", "not JSON");
    refused("[]", "JSON object");
    refused("{}", "no 'model'");
    refused(std::string(5000, '['), "not JSON");
    refused(with(R"("normalizer":{"type":"BertNormalizer"})"),
            "normalizer 'BertNormalizer' is not supported");
    refused(with(R"("normalizer":{"type":"Replace","pattern":3,"content":""})"),
            "'pattern' of the normalizer");
    refused(with(R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"AAA"})"), "not base64");
    refused(with(R"("normalizer":{"type":"Strip","strip_left":"yes"})"),
            "'strip_left' should be true or false");
    refused(with(R"("normalizer":[])"), "'type' of the normalizer");
    refused(with(R"("pre_tokenizer":{"type":"UnicodeScripts"})"),
            "pre-tokenizer 'UnicodeScripts' is not supported");
    refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"("},"behavior":"Isolated"})"),
            "is not understood");
    refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[a&&b]"},"behavior":"Isolated"})"),
            "&&");
    refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"a{1,3}+"},"behavior":"Isolated"})"),
            "interval");
    refused(with(R"("pre_tokenizer":{"type":"Split","pattern":{"String":" "},"behavior":"Sideways"})"),
            "Sideways");
    refused(
        with(R"("pre_tokenizer":{"type":"Split","pattern":{"Regex":"[[:alpha:]]"},"behavior":"Isolated"})"),
        "[:alpha:]");
    refused(with(R"("pre_tokenizer":{"type":"Sequence","pretokenizers":{}})"), "'pretokenizers' of");
    refused(with(R"("pre_tokenizer":{"type":"CharDelimiterSplit","delimiter":"ab"})"), "one character");
    refused(with(R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"last"})"),
            "'last'");
    refused(with(R"("pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"first",)"
                 R"("add_prefix_space":false})"),
            "contradict");
    refused(with(R"("decoder":{"type":"CTC"})"), "decoder 'CTC' is not supported");
    refused(with(R"("decoder":{"type":"BPEDecoder"})"), "decoder 'BPEDecoder' is not supported");
    refused(with(R"("decoder":{"type":"Strip","content":"_","start":"x","stop":0})"), "'start' and 'stop'");
    refused(with(R"("decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteFallback"}]})"),
            "after Fuse");
    refused(with(R"("post_processor":{"type":"PairProcessing"})"),
            "post-processor 'PairProcessing' is not supported");
    refused(with(R"("post_processor":{"type":"BertProcessing","sep":["x"],"cls":["y",1]})"), "'sep' of");
    refused(
        with(
            R"("post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"ids":[9]}}})"),
        "id 9");
    refused(with(R"("added_tokens":[{"id":4000000000,"content":"x"}])"), "should be a number below");
    refused(with(R"("added_tokens":[{"id":1,"content":"x"}])"), "have the same id 1");
    refused(model_with(R"("type":"WordPiece","vocab":{})"), "'WordPiece' is not supported");
    refused(model_with(R"("type":"BPE","vocab":{"a":-1},"merges":[])"), "should be a number below");
    refused(model_with(R"("type":"BPE","vocab":{"a":0},"merges":["a b"])"), "not in the vocabulary");
    refused(model_with(R"("type":"BPE","vocab":{"a":0},"merges":["a"])"), "two tokens");
    refused(model_with(R"("type":"BPE","vocab":{"a":0},"merges":[],"unk_token":"?")"), "unk_token");
    refused(model_with(R"("type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.1)"), "dropout");
    refused(model_with(R"("type":"BPE","vocab":{"a":0},"merges":[],"end_of_word_suffix":1)"),
            "end_of_word_suffix");
    refused(model_with(R"("type":"BPE","vocab":["a"],"merges":[])"), "'vocab' of the BPE model");
    refused(model_with(R"("type":"BPE","vocab":{"a":0})"), "'merges' of the BPE model");
    refused(model_with(R"("type":"Unigram","vocab":{"a":0})"), "'vocab' of the Unigram model");
    refused(model_with(R"("type":"Unigram","vocab":[["a",0.5],["b"]],"unk_id":0)"), "Entry 1 of 'vocab'");
    refused(model_with(R"("type":"Unigram","vocab":[["a",0.5]])"), "'unk_id'");
    refused(model_with(R"("type":"Unigram","vocab":[["a",0.5]],"unk_id":1)"), "'unk_id'");
    CHECK(load_tokenizer(directory.path() / "absent").error().code == ErrorCode::not_found);
}

TEST_CASE("text never becomes a special token by a look into the vocabulary") {
    const TempDirectory directory;
    const std::string added = R"("added_tokens":[{"id":1,"content":"</s>","special":true}])";
    const auto bpe = load_or_fail(directory.write(
        "tokenizer.json",
        R"({"model":{"type":"BPE","ignore_merges":true,"vocab":{"a":0,"</s>":1,"<":2,"/":3,"s":4,">":5},)"
        R"("merges":[]},)" +
            added + "}"));
    CHECK(encode(*bpe, "</s>") == std::vector<TokenId>{2, 3, 4, 5});
    CHECK(encode(*bpe, "</s>", {.parse_special = true}) == std::vector<TokenId>{1});
    const auto unigram = load_or_fail(directory.write(
        "tokenizer.json",
        R"({"model":{"type":"Unigram","unk_id":0,"vocab":[["?",0],["</s>",0]]},)" + added + "}"));
    CHECK(encode(*unigram, "</s>") == std::vector<TokenId>{0});
    CHECK(encode(*unigram, "</s>", {.parse_special = true}) == std::vector<TokenId>{1});
}

// What Hugging Face's tokenizers 0.23 give.
TEST_CASE("added tokens of white space that take white space") {
    const TempDirectory directory;
    const auto ids_with = [&directory](const std::string& flags) {
        const auto tokenizer = load_or_fail(directory.write(
            "tokenizer.json",
            R"({"model":{"type":"BPE","vocab":{" ":0,"a":1},"merges":[]},"added_tokens":[{"id":2,)"
            R"("content":"  ",)" +
                flags + R"("special":false}]})"));
        return encode(*tokenizer, "a     a");
    };
    CHECK(ids_with("") == std::vector<TokenId>{1, 2, 2, 0, 1});
    CHECK(ids_with(R"("lstrip":true,)") == std::vector<TokenId>{1, 2, 2, 0, 1});
    CHECK(ids_with(R"("rstrip":true,)") == std::vector<TokenId>{1, 2, 2, 1});
    CHECK(ids_with(R"("lstrip":true,"rstrip":true,)") == std::vector<TokenId>{1, 2, 1});
}

TEST_CASE("normalized added tokens are found and spelled as the normalizer leaves them") {
    const TempDirectory directory;
    const auto tokenizer = load_or_fail(directory.write(
        "tokenizer.json",
        R"({"model":{"type":"BPE","vocab":{" ":0,"a":1},"merges":[]},"normalizer":{"type":"Lowercase"},)"
        R"("added_tokens":[{"id":2,"content":"AB","normalized":true}]})"));
    CHECK(encode(*tokenizer, "Ab a") == std::vector<TokenId>{2, 0, 1});
    CHECK(tokenizer->decode(std::vector<TokenId>{2, 1, 2}) == "ab a ab");
}

TEST_CASE("an empty text matches nothing") {
    const TempDirectory directory;
    const auto tokenizer = load_or_fail(directory.write(
        "tokenizer.json",
        R"({"model":{"type":"BPE","vocab":{" ":0,"a":1},"merges":[]},"normalizer":{"type":"Replace",)"
        R"("pattern":{"Regex":"^"},"content":"a"}})"));
    CHECK(encode(*tokenizer, "").empty());
    CHECK(encode(*tokenizer, " ") == std::vector<TokenId>{1, 0});
}

// Oniguruma has it so.
TEST_CASE("word characters are others inside of classes") {
    const auto matched = [](const std::string& pattern) {
        const auto regex = Regex::compile(pattern);
        REQUIRE(regex.ok());
        const auto replaced = Regex::Matcher(*regex).replace_all("a\u00B2-\u00BDb_", "");
        REQUIRE(replaced.ok());
        return *replaced;
    };
    CHECK(matched("\\w") == "-");
    CHECK(matched("[\\w]") == "\u00B2-\u00BD");
    CHECK(matched("[^\\w]") == "ab_");
    CHECK(matched("\\W") == "a\u00B2\u00BDb_");
    CHECK(matched("[[:word:]]") == "\u00B2-\u00BD");
    CHECK(matched("[a[_-]]") == "\u00B2\u00BDb");
}

TEST_CASE("white space that a decoder strips from the end is held back while a text grows") {
    const TempDirectory directory;
    const auto tokenizer = load_or_fail(directory.write(
        "tokenizer.json",
        R"({"model":{"type":"BPE","vocab":{"a":0,"_":1},"merges":[]},"decoder":{"type":"Sequence",)"
        R"("decoders":[{"type":"Replace","pattern":{"String":"_"},"content":" "},{"type":"Fuse"},)"
        R"({"type":"Strip","content":" ","start":1,"stop":1}]}})"));
    StreamingDetokenizer stream(tokenizer);
    std::vector<std::string> pieces;
    for (const TokenId id : {1, 1, 0, 1, 0, 1, 1}) pieces.push_back(stream.push(id));
    pieces.push_back(stream.flush());
    CHECK(pieces == std::vector<std::string>{"", "", " a", "", " a", "", " ", ""});
    CHECK(tokenizer->decode(std::vector<TokenId>{1, 1, 0, 1, 0, 1, 1}) == " a a ");
}

TEST_CASE("a regular expression that backtracks without bound is an error, not a hang") {
    const TempDirectory directory;
    const auto path = directory.write(
        "tokenizer.json",
        R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[]},"pre_tokenizer":{"type":"Split",)"
        R"("pattern":{"Regex":"(a+)+$"},"behavior":"Isolated"}})");
    const auto ids = load_or_fail(path)->encode(std::string(60, 'a') + "c");
    REQUIRE_FALSE(ids.ok());
    CHECK(ids.error().message.find("gives up") != std::string::npos);
}

}  // namespace troupe
