// Prefixes shared between requests: who may, and what is said of it.
#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;

namespace {

const std::vector<TokenId> prompt{101, 102, 103, 104, 105, 106, 107, 108, 109, 110};

// What a request finds cached of its prompt, blocks of four tokens.
std::uint32_t cached_tokens(TroupeFixture& troupe, GenerationRequest request) {
    const std::string id = request.id;
    const std::vector<TokenId> ids = std::get<TokenPrompt>(*request.prompt).ids;
    const auto reader = troupe.submit(std::move(request));
    troupe.simulation.run();
    INFO(id);
    REQUIRE(reader->finished);
    CHECK(reader->finished->ids == TroupeFixture::expected(ids, 4));
    return reader->finished->usage.cached_tokens;
}

GenerationRequest with(const std::string& id, std::uint64_t tenant, const std::string& salt = {}) {
    auto request = TroupeFixture::request(id, prompt, 4);
    request.tenant = tenant;
    request.cache_salt = salt;
    return request;
}

}  // namespace

TEST_CASE("a later request finds the prompt of an earlier one, if tenant and salt are the same") {
    TroupeFixture troupe;
    troupe.start();
    CHECK(cached_tokens(troupe, with("a", 0)) == 0);
    CHECK(cached_tokens(troupe, with("b", 0)) == 8);
    CHECK(cached_tokens(troupe, with("c", 1)) == 0);
    CHECK(cached_tokens(troupe, with("d", 1)) == 8);
    CHECK(cached_tokens(troupe, with("e", 1, "s")) == 0);
    CHECK(cached_tokens(troupe, with("f", 1, "s")) == 8);
    CHECK(cached_tokens(troupe, with("g", 2, "s")) == 0);
    // What a client writes into its salt makes it nobody else.
    CHECK(cached_tokens(troupe, with("h", 0, ";s")) == 0);
    CHECK(cached_tokens(troupe, with("i", 0, "1;;s")) == 0);
    CHECK(troupe.counter("prefix_cache_queries_total") == 90);
    CHECK(troupe.counter("prefix_cache_hits_total") == 24);
    CHECK(troupe.gauge("prefix_cache_blocks") > 0);
    CHECK(troupe.gauge("kv_cache_usage_perc") == 0);
}

TEST_CASE("what is cached is in the snapshot of a retained response, too") {
    TroupeFixture troupe;
    troupe.start();
    cached_tokens(troupe, with("a", 0));
    auto request = with("b", 0);
    request.retention = Retention::stored;
    CHECK(cached_tokens(troupe, std::move(request)) == 8);
    CHECK(troupe.lookup("b").usage.cached_tokens == 8);
}

TEST_CASE("a worker's death forgets what was cached, and nothing of what was said") {
    TroupeFixture troupe;
    troupe.options.fault = {5, 0};
    troupe.start();
    troupe.simulation.advance(std::chrono::seconds(1));
    CHECK(cached_tokens(troupe, with("a", 0)) == 0);  // four steps
    const auto reader = troupe.submit(with("b", 0));
    troupe.simulation.advance(std::chrono::seconds(1));
    REQUIRE(reader->finished);
    CHECK(reader->finished->usage.cached_tokens == 8);  // as it began; then it was computed again
    CHECK(reader->finished->ids == TroupeFixture::expected(prompt, 4));
    CHECK(cached_tokens(troupe, with("c", 0)) == 8);
    CHECK(troupe.counter("worker_restarts_total") == 1);
}

TEST_CASE("without prefix caching only the choices of a prompt share it") {
    TroupeFixture troupe;
    troupe.prefix_caching = false;
    troupe.start();
    CHECK(cached_tokens(troupe, with("a", 0)) == 0);
    CHECK(cached_tokens(troupe, with("b", 0)) == 0);
    for (const std::string id : {"c", "d"}) {
        std::vector<std::shared_ptr<Reader>> readers;
        for (std::uint32_t choice = 0; choice < 2; ++choice) {
            auto request = with(id + std::to_string(choice), 0);
            request.choice = choice;
            request.prompt_group = id == "c" ? 5 : 7;
            readers.push_back(troupe.submit(std::move(request)));
        }
        troupe.simulation.run();
        CHECK(readers[0]->finished->usage.cached_tokens == 0);
        CHECK(readers[1]->finished->usage.cached_tokens == 9);
    }
}
