// The tiers below the pool: pages are found by their tokens, given up in order, and never twice in use.
#include <algorithm>
#include <map>
#include <random>

#include "kvcache/swap_tiers.hpp"
#include "tests/catch.hpp"

namespace troupe {
namespace {

using Page = SwapTiers::Page;
using Tokens = std::vector<TokenId>;

Tokens tokens_of(std::initializer_list<int> blocks, std::uint32_t block_size) {
    Tokens tokens;
    for (const int block : blocks) tokens.insert(tokens.end(), block_size, block);
    return tokens;
}

// Puts the blocks of `tokens` that are not there yet into pages of the tier.
void put(SwapTiers& tiers, Tier tier, const Tokens& tokens, std::uint32_t block_size,
         std::string_view salt = "") {
    PrefixMatch match;
    tiers.match(match, salt, tokens);
    PrefixMatch before;
    for (std::size_t end = (match.num_blocks + 1) * block_size; end <= tokens.size(); end += block_size) {
        const auto page = tiers.take(tier);
        REQUIRE(page);
        tiers.remember(salt, std::span(tokens).first(end), *page, before);
        tiers.drop(*page);
    }
}

std::uint32_t found(const SwapTiers& tiers, const Tokens& tokens, std::string_view salt = "") {
    PrefixMatch match;
    tiers.match(match, salt, tokens);
    return match.num_blocks;
}

TEST_CASE("pages are found by their tokens and salt, whichever tier they are in") {
    SwapTiers tiers({.host_pages = 3, .disk_pages = 2, .block_size = 2});
    CHECK(tiers.exist());
    put(tiers, Tier::host, tokens_of({1, 2}, 2), 2);
    put(tiers, Tier::disk, tokens_of({1, 2, 3}, 2), 2);
    put(tiers, Tier::host, tokens_of({1}, 2), 2, "other");
    CHECK(found(tiers, tokens_of({1, 2, 3, 4}, 2)) == 3);
    CHECK(found(tiers, tokens_of({1, 3}, 2)) == 1);
    CHECK(found(tiers, tokens_of({1, 2, 3}, 2), "other") == 1);
    CHECK(found(tiers, tokens_of({2}, 2)) == 0);
    PrefixMatch match;
    const Tokens tokens = tokens_of({1, 2, 3}, 2);
    tiers.match(match, "", tokens);
    const auto pages = tiers.pages(match, 1);
    REQUIRE(pages.size() == 2);
    CHECK(tiers.place(pages[0]) == BlockPlace{Tier::host, 1});
    CHECK(tiers.place(pages[1]) == BlockPlace{Tier::disk, 0});
    CHECK(tiers.pages(match, 5).empty());
    tiers.check_invariants();
}

TEST_CASE("a tier that is full gives up what was used least recently, the end before the beginning") {
    SwapTiers tiers({.host_pages = 4, .block_size = 1});
    put(tiers, Tier::host, {1, 2}, 1);
    put(tiers, Tier::host, {3, 4}, 1);
    PrefixMatch match;
    tiers.match(match, "", Tokens{1, 2});
    tiers.touch(match);
    put(tiers, Tier::host, {5}, 1);
    // Saved one by one, a beginning is older than its end; what is given up takes with it what comes after
    // it.
    CHECK(found(tiers, {3, 4}) == 0);
    CHECK(found(tiers, {1, 2}) == 2);
    put(tiers, Tier::host, {6, 7}, 1);
    CHECK(found(tiers, {1, 2}) == 1);
    CHECK(found(tiers, {5}) == 1);
    tiers.check_invariants();
}

TEST_CASE("pages that open moves hold are not given out") {
    SwapTiers tiers({.host_pages = 2, .block_size = 1});
    put(tiers, Tier::host, {1, 2}, 1);
    PrefixMatch match;
    tiers.match(match, "", Tokens{1, 2});
    for (const Page page : tiers.pages(match)) tiers.hold(page);
    CHECK_FALSE(tiers.take(Tier::host));
    CHECK_FALSE(tiers.take(Tier::disk));
    CHECK_FALSE(tiers.hold_oldest(Tier::host));
    tiers.forget(tiers.pages(match)[0]);  // it turned out to be worthless
    CHECK(found(tiers, {1, 2}) == 0);
    CHECK_FALSE(tiers.take(Tier::host));  // still held
    tiers.drop(0);
    CHECK(tiers.take(Tier::host) == 0);
    tiers.check_invariants();
}

// Each page holds a hash of all tokens up to its end; what is found must be that, whatever happened before.
TEST_CASE("random operations on the tiers") {
    for (const std::uint32_t block_size : {1U, 2U, 16U}) {
        for (std::uint32_t seed = 1; seed <= 20; ++seed) {
            std::mt19937 random(seed);
            const auto collide = [](std::uint64_t, std::span<const TokenId>) { return std::uint64_t{7}; };
            SwapTiers tiers({.host_pages = 1 + seed % 7,
                             .disk_pages = seed % 3 * 4,
                             .block_size = block_size,
                             .hash = seed % 2 == 0 ? PrefixHash(collide) : hash_prefix});
            std::map<Page, Tokens> contents;
            std::vector<Page> held;
            const auto some_tokens = [&] {
                Tokens tokens;
                for (auto n = 1 + random() % 5; n > 0; --n)
                    tokens.insert(tokens.end(), block_size, static_cast<TokenId>(random() % 2));
                return tokens;
            };
            for (int i = 0; i < 1500; ++i) {
                const Tokens tokens = some_tokens();
                const std::string_view salt = random() % 2 == 0 ? "" : "a";
                const Tier tier = random() % 2 == 0 ? Tier::host : Tier::disk;
                switch (random() % 6) {
                    case 0:
                    case 1: {
                        const auto page = tiers.take(tier);
                        if (!page) break;
                        REQUIRE(std::find(held.begin(), held.end(), *page) == held.end());
                        contents[*page] = tokens;
                        contents[*page].insert(contents[*page].begin(), salt.empty() ? 0 : 1);
                        PrefixMatch before;
                        tiers.remember(salt, tokens, *page, before);
                        if (random() % 4 == 0) {
                            held.push_back(*page);
                        } else {
                            tiers.drop(*page);
                        }
                        break;
                    }
                    case 2:
                        if (!held.empty()) {
                            tiers.drop(held.back());
                            held.pop_back();
                        }
                        break;
                    case 3: {
                        const auto from = tiers.hold_oldest(Tier::host);
                        const auto to = from ? tiers.take(Tier::disk) : std::nullopt;
                        if (to) {
                            contents[*to] = contents[*from];
                            tiers.rebind(*from, *to);
                            tiers.drop(*to);
                        }
                        if (from) tiers.drop(*from);
                        break;
                    }
                    case 4: {
                        PrefixMatch match;
                        tiers.match(match, salt, tokens);
                        if (match.num_blocks == 0) break;
                        if (random() % 4 == 0) {
                            tiers.forget(tiers.pages(match).back());
                        } else {
                            tiers.touch(match);
                        }
                        break;
                    }
                    default: {
                        PrefixMatch match;
                        tiers.match(match, salt, tokens);
                        const auto pages = tiers.pages(match);
                        for (std::size_t b = 0; b < pages.size(); ++b) {
                            Tokens expected(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(
                                                                                 (b + 1) * block_size));
                            expected.insert(expected.begin(), salt.empty() ? 0 : 1);
                            REQUIRE(contents.at(pages[b]) == expected);
                        }
                    }
                }
                REQUIRE_NOTHROW(tiers.check_invariants());
                if (i % 500 == 499 && seed % 5 == 0) tiers.forget_all();
            }
            for (const Page page : held) tiers.drop(page);
            tiers.forget_all();
            CHECK(tiers.num_free(Tier::host) == tiers.num_pages(Tier::host));
            CHECK(tiers.num_free(Tier::disk) == tiers.num_pages(Tier::disk));
        }
    }
}

}  // namespace
}  // namespace troupe
