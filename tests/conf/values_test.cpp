#include "conf/values.hpp"

#include "tests/catch.hpp"

using namespace troupe;

TEST_CASE("sizes are bytes or carry a unit") {
    const auto bytes = [](const char* text) { return parse_size(text).value(); };
    CHECK(bytes("4096") == 4096);
    CHECK(bytes("512MiB") == 512ULL << 20);
    CHECK(bytes("4GB") == 4'000'000'000ULL);
    CHECK(bytes("4 GiB") == 4ULL << 30);
    CHECK(bytes("1.5g") == 3ULL << 29);
    CHECK(bytes("2TB") == 2'000'000'000'000ULL);
    for (const char* bad :
         {"", "MiB", "1.2.3GB", "12 parsecs", "-1", "1e3", "0x10", "4G B", "99999999999TB", "."}) {
        INFO(bad);
        CHECK_FALSE(parse_size(bad).ok());
    }
}

TEST_CASE("times are seconds or carry a unit") {
    const auto milliseconds = [](const char* text) { return parse_duration(text).value(); };
    CHECK(milliseconds("30") == 30'000);
    CHECK(milliseconds("0.5") == 500);
    CHECK(milliseconds("250ms") == 250);
    CHECK(milliseconds("10m") == 600'000);
    CHECK(milliseconds("2h") == 7'200'000);
    for (const char* bad : {"", "s", "10 fortnights", "-3s", "10000h"}) {
        INFO(bad);
        CHECK_FALSE(parse_duration(bad).ok());
    }
}

TEST_CASE("integers are whole and in range") {
    CHECK(parse_integer("7", 1, 10).value() == 7);
    for (const char* bad : {"", "0", "11", "3.5", "7 ", " 7", "-1", "99999999999999999999999", "seven"}) {
        INFO(bad);
        const auto result = parse_integer(bad, 1, 10);
        REQUIRE_FALSE(result.ok());
        CHECK(result.error().message.find("1 to 10") != std::string::npos);
    }
}

TEST_CASE("fault injections name a step") {
    CHECK(parse_fault_injection("").value() == FaultInjection{});
    CHECK(parse_fault_injection("worker:throw@step=40").value() == FaultInjection{40, 0});
    CHECK(parse_fault_injection("worker:throw@step=40,every=7").value() == FaultInjection{40, 7});
    CHECK(parse_fault_injection("worker:throw@step=40,model=a/b").value() == FaultInjection{40, 0, "a/b"});
    CHECK(parse_fault_injection("worker:throw@step=40,every=7,model=a").value() ==
          FaultInjection{40, 7, "a"});
    for (const char* bad :
         {"worker", "worker:throw@step=0", "worker:throw@every=3",
          "worker:throw@step=1,model=", "worker:throw@step=", "worker:throw@step=4,every=0",
          "worker:throw@step=4,often=2", "worker:throw@step=4,every=2,every=3", "gpu:melt@step=1"}) {
        INFO(bad);
        CHECK_FALSE(parse_fault_injection(bad).ok());
    }
}

TEST_CASE("a fault is due in its step and at its interval after that") {
    const FaultInjection once{3, 0}, often{3, 2};
    CHECK_FALSE(FaultInjection{}.due(0));
    CHECK(once.due(3));
    CHECK_FALSE(once.due(5));
    CHECK_FALSE(often.due(1));
    CHECK(often.due(3));
    CHECK_FALSE(often.due(4));
    CHECK(often.due(5));
    CHECK(often.due(7));
}

TEST_CASE("sizes and times are written so that people can read them") {
    CHECK(format_size(0) == "0 B");
    CHECK(format_size(8U << 20) == "8 MiB");
    CHECK(format_size(3ULL << 29) == "1.5 GiB");
    CHECK(format_duration(500) == "500ms");
    CHECK(format_duration(30'000) == "30s");
    CHECK(format_duration(600'000) == "10m");
    CHECK(format_duration(0) == "0ms");
}
