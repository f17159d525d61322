// What finished responses hold, by the allocator's own count.
#include <malloc.h>

#include "tests/actors/troupe_fixture.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

std::size_t heap_in_use() {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

// Under a sanitizer the allocator is another one, and its count stands still.
bool heap_is_counted() {
    const auto before = heap_in_use();
    const std::string probe(1U << 16, 'x');
    return heap_in_use() > before;
}

void store(TroupeFixture& troupe, const std::string& id, std::size_t prompt_tokens, std::uint32_t tokens,
           std::size_t record) {
    auto request = TroupeFixture::request(id, std::vector<TokenId>(prompt_tokens, 5), tokens);
    request.retention = Retention::stored;
    request.record = std::string(record, 'x');
    auto reader = troupe.submit(request);
    troupe.simulation.run();
    REQUIRE(reader->finished);
    REQUIRE_FALSE(reader->finished->error);
}

}  // namespace

TEST_CASE("nothing is left of responses whose time is over") {
    if (!heap_is_counted()) {
        WARN("skipped: the heap cannot be counted here");
        return;
    }
    TroupeFixture troupe;
    troupe.max_retained = 1000;
    troupe.max_retained_bytes = 1U << 30;
    troupe.start();
    const auto round = [&](int number) {
        const std::string id(100000, static_cast<char>('a' + number));  // what is left of it would be seen
        for (int i = 0; i < 20; ++i) store(troupe, id + std::to_string(i), 4, 2, 10);
        CHECK(troupe.server_status->responses_retained == 20);
        troupe.simulation.advance(700s);
        CHECK(troupe.server_status->responses_retained == 0);
    };
    round(0);
    const auto before = heap_in_use();
    round(1);
    round(2);
    CHECK(heap_in_use() < before + 500000);
}

TEST_CASE("retained bytes are those that the responses really hold") {
    if (!heap_is_counted()) {
        WARN("skipped: the heap cannot be counted here");
        return;
    }
    struct Shape {
        std::size_t prompt;
        std::uint32_t tokens;
        std::size_t record;
    };
    const Shape shape =
        GENERATE(Shape{4, 2, 100}, Shape{4, 200, 500}, Shape{200, 4, 500}, Shape{8, 100, 20000});
    TroupeFixture troupe;
    troupe.max_retained = 1000;
    troupe.max_retained_bytes = 1U << 30;
    troupe.start();
    for (int i = 0; i < 20; ++i)
        store(troupe, "resp_warm" + std::to_string(i), shape.prompt, shape.tokens, shape.record);
    const auto heap = heap_in_use();
    const std::uint64_t counted = troupe.server_status->responses_retained_bytes;
    for (int i = 0; i < 200; ++i)
        store(troupe, "resp_" + std::to_string(i), shape.prompt, shape.tokens, shape.record);
    const auto held = static_cast<double>(heap_in_use() - heap);
    const auto said = static_cast<double>(troupe.server_status->responses_retained_bytes - counted);
    INFO(shape.prompt << " + " << shape.tokens << " tokens: " << held / 200 << " held, " << said / 200
                      << " counted");
    CHECK(said > held * 0.9);
    CHECK(said < held * 1.15);
}
