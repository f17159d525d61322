#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>

#include "apps/bench_client.hpp"
#include "apps/bench_report.hpp"
#include "apps/bench_stream.hpp"
#include "apps/bench_workload.hpp"
#include "tests/catch.hpp"

using namespace troupe;

namespace {

// A file that lives as long as the test.
class TraceFile {
  public:
    explicit TraceFile(const std::string& text) { std::ofstream(path()) << text; }
    ~TraceFile() { std::filesystem::remove(path()); }
    std::string path() const {
        return (std::filesystem::temp_directory_path() / "troupe_trace_test.csv").string();
    }
};

BenchOutcome success(double ttft, double latency, std::uint32_t output_tokens) {
    BenchOutcome outcome;
    outcome.input_tokens = 10;
    outcome.output_tokens = output_tokens;
    outcome.ttft = ttft;
    outcome.latency = latency;
    outcome.itl.assign(output_tokens - 1, (latency - ttft) / (output_tokens - 1));
    return outcome;
}

}  // namespace

TEST_CASE("the address of a server is a host, a port and perhaps a path") {
    const auto target = parse_target("http://example.org:8080/v1/").value();
    CHECK(target.host == "example.org");
    CHECK(target.port == "8080");
    CHECK(target.prefix.empty());
    CHECK(parse_target("http://h/api/v1").value().prefix == "/api");
    CHECK(parse_target("http://h").value().port == "80");
    CHECK(parse_target("http://[::1]:9").value().host == "::1");
    CHECK(parse_target("http://[::1]:9").value().port == "9");
    for (const char* bad : {"", "localhost:8000", "https://h", "http://", "http://:80", "http://h:"}) {
        INFO(bad);
        CHECK_FALSE(parse_target(bad).ok());
    }
}

TEST_CASE("stream events are read from pieces of any size") {
    const std::string text =
        ": a comment\n\n"
        "data: {\"choices\":[{\"text\":\"\"}]}\n\n"
        "data: {\"choices\":[{\"text\":\"hi\"}]}\r\n\r\n"
        "data:{\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":7}}\n\n"
        "data: {\"error\":{\"message\":\"oh\"}}\n\ndata: [DONE]\n\n";
    for (std::size_t piece = 1; piece <= text.size(); piece += 7) {
        BenchStream stream;
        std::vector<BenchChunk> chunks;
        for (std::size_t i = 0; i < text.size(); i += piece) {
            stream.append(std::string_view(text).substr(i, piece));
            while (auto chunk = stream.next()) chunks.push_back(*chunk);
        }
        REQUIRE(chunks.size() == 5);
        CHECK_FALSE(chunks[0].has_content);
        CHECK(chunks[1].has_content);
        CHECK(chunks[2].prompt_tokens == 3U);
        CHECK(chunks[2].completion_tokens == 7U);
        CHECK(chunks[3].error == "oh");
        CHECK(chunks[4].done);
    }
}

TEST_CASE("what is not JSON in a stream is an error") {
    BenchStream stream;
    stream.append("data: {\"choices\": \n");
    CHECK_FALSE(stream.next()->error.empty());
}

TEST_CASE("a trace gives lengths and arrivals, across midnight and at another speed") {
    const TraceFile file(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-12-31 23:59:59.5000000,374,44\n2024-01-01 00:00:01.0000000,396,109\n");
    const auto requests = trace_workload(file.path(), 0, 2.0, 0).value();
    REQUIRE(requests.size() == 2);
    CHECK(requests[0].arrival == 0);
    CHECK(std::fabs(requests[1].arrival - 0.75) < 1e-6);
    CHECK(requests[1].input_len == 396);
    CHECK(requests[1].output_len == 109);
    CHECK(trace_workload(file.path(), 1, 1.0, 0).value().size() == 1);
}

TEST_CASE("a malformed trace is an error with a line number") {
    const TraceFile file("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,2\n");
    const auto result = trace_workload(file.path(), 0, 1.0, 0);
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().message.find(":2:") != std::string::npos);
    CHECK_FALSE(trace_workload("/nonexistent", 0, 1.0, 0).ok());
}

TEST_CASE("Poisson arrivals have the rate asked for and depend on the seed only") {
    auto requests = uniform_workload(20000, 1, 1, 0);
    set_poisson_arrivals(requests, 50, 1);
    CHECK(std::fabs(requests.back().arrival - 20000 / 50.0) < 0.03 * 20000 / 50.0);
    auto again = uniform_workload(20000, 1, 1, 0);
    set_poisson_arrivals(again, 50, 1);
    CHECK(again.back().arrival == requests.back().arrival);
}

TEST_CASE("percentiles interpolate between values") {
    const Distribution d = distribution_of({40, 10, 30, 20});
    CHECK(d.mean == 25);
    CHECK(d.p50 == 25);
    CHECK(std::fabs(d.p90 - 37) < 1e-9);
    CHECK(distribution_of({}).count == 0);
}

TEST_CASE("a report counts successes, errors by kind, and goodput") {
    BenchRun run;
    run.duration = 2;
    run.outcomes = {success(0.1, 1.1, 11), success(0.3, 0.8, 11)};
    BenchOutcome failed;
    failed.error = "HTTP 429";
    run.outcomes.push_back(failed);
    BenchObjectives objectives;
    objectives.ttft = 200;
    const BenchReport report = make_report(run, objectives);
    CHECK(report.completed == 2);
    CHECK(report.failed == 1);
    CHECK(report.errors.at("HTTP 429") == 1);
    CHECK(report.output_tokens == 22);
    CHECK(std::fabs(report.tpot.mean - 75) < 1e-9);
    CHECK(report.itl.count == 20);
    CHECK(report.goodput == 0.5);
    const std::string json = report_json(report);
    CHECK(json.find("\"output_throughput\":11") != std::string::npos);
    CHECK(json.find("\"errors\":{\"HTTP 429\":1}") != std::string::npos);
}
