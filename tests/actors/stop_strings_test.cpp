#include "actors/stop_strings.hpp"

#include <random>

#include "tests/catch.hpp"

using troupe::StopStrings;

TEST_CASE("text that may begin a stop string is held back") {
    StopStrings stops({"END", "</s>"});
    CHECK(stops.push("abcE").text == "abc");
    CHECK(stops.push("N").text.empty());
    CHECK(stops.push("x").text == "ENx");
    CHECK(stops.push("y</").text == "y");
    CHECK(stops.flush() == "</");
}

TEST_CASE("the first occurrence ends the text, whatever the pieces") {
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        for (int i = 0; i < 12; ++i) text += "ab"[random() % 2];
        std::vector<std::string> stops;
        for (unsigned i = 0; i < 1 + random() % 3; ++i)
            stops.push_back(text.substr(random() % 8, 1 + random() % 4));
        if (random() % 2 == 0) stops = {std::string(1 + random() % 4, 'c'), "abba"};
        auto first = std::string::npos;
        for (const auto& stop : stops) first = std::min(first, text.find(stop));
        StopStrings matcher(stops);
        std::string shown;
        bool stopped = false;
        // One character at a time, an earlier-starting stop string may still be incomplete when a later one
        // ends: then the one that completes first ends the text, as it must in a stream.
        for (std::size_t i = 0; i < text.size() && !stopped; ++i) {
            auto step = matcher.push(text.substr(i, 1));
            shown += step.text;
            stopped = step.stopped;
        }
        if (!stopped) shown += matcher.flush();
        CHECK(stopped == (first != std::string::npos));
        CHECK(text.substr(0, shown.size()) == shown);
        for (const auto& stop : stops) CHECK(shown.find(stop) == std::string::npos);
        if (!stopped) CHECK(shown == text);
    }
}
