// `troupe policy new|check|host`
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

#include "apps/commands.hpp"
#include "apps/console.hpp"
#include "apps/policy_check.hpp"
#include "apps/policy_files.hpp"
#include "policies/builtin.hpp"
#include "policies/loader/make_policy.hpp"
#include "policies/loader/policy_host.hpp"

namespace troupe {
namespace {

struct NewFlags {
    std::string directory;
};

bool is_target_of_cmake(const std::string& name) {
    const auto reserved = {"all", "clean", "help", "install", "package", "test"};
    return std::find(reserved.begin(), reserved.end(), name) != reserved.end();
}

// A name for a CMake target, a C++ file and a library, from that of the directory.
Result<std::string> name_of(const std::filesystem::path& directory) {
    auto normal = std::filesystem::absolute(directory).lexically_normal();
    if (!normal.has_filename()) normal = normal.parent_path();
    std::string name = normal.filename().string();
    for (char& c : name) {
        if (c == '-' || c == '.') c = '_';
    }
    const bool plain = std::all_of(name.begin(), name.end(), [](unsigned char c) {
        return c < 128 && (std::isalnum(c) != 0 || c == '_');
    });
    if (name.empty() || !plain || std::isdigit(static_cast<unsigned char>(name[0])) != 0 ||
        is_target_of_cmake(name)) {
        return invalid_argument(
            "'" + name +
                "' is no name for a policy: the directory's name must be of letters, digits, "
                "- and _, and begin with a letter",
            "DIR");
    }
    return name;
}

std::string with_name(std::string_view text, const std::string& name) {
    constexpr std::string_view mark = "@NAME@";
    std::string result;
    for (;;) {
        const std::size_t at = text.find(mark);
        result += text.substr(0, at);
        if (at == std::string_view::npos) return result;
        result += name;
        text.remove_prefix(at + mark.size());
    }
}

int make_project(const NewFlags& flags) {
    const std::filesystem::path directory(flags.directory);
    const auto name = name_of(directory);
    if (!name) return report(name.error());
    std::error_code error;
    if (std::filesystem::exists(directory, error) && !std::filesystem::is_empty(directory, error))
        return report(invalid_argument(flags.directory + " exists and is not empty", "DIR"));
    for (const PolicyFile& file : policy_project_files()) {
        const auto path = directory / with_name(file.path, *name);
        std::filesystem::create_directories(path.parent_path(), error);
        std::ofstream out(path, std::ios::binary);
        out << with_name(file.text, *name);
        if (!out.flush()) return report(invalid_argument("cannot write " + path.string(), "DIR"));
    }
    std::printf(
        "%s has a policy to begin with. Build and try it:\n"
        "  cmake -S %s -B %s/build && cmake --build %s/build && ctest --test-dir %s/build\n"
        "  troupe policy check %s/build/lib%s.so\n",
        flags.directory.c_str(), flags.directory.c_str(), flags.directory.c_str(), flags.directory.c_str(),
        flags.directory.c_str(), flags.directory.c_str(), name->c_str());
    return 0;
}

struct CheckFlags {
    PolicyCheckOptions options;
    std::vector<std::string> policy_options;
    std::uint32_t budget_ms = 20;
};

int check(CheckFlags flags) {
    auto lines = policy_option_lines(flags.policy_options);
    if (!lines) return report(lines.error());
    flags.options.options = *lines;
    flags.options.budget = std::chrono::milliseconds(flags.budget_ms);
    const PolicyCheckReport result = check_policy(flags.options);
    for (const std::string& fault : result.faults) std::printf("FAULT: %s\n", fault.c_str());
    std::printf("%s: %llu decisions, median %.1f us, slowest %.1f us; %s\n", flags.options.path.c_str(),
                static_cast<unsigned long long>(result.decisions), result.median_us, result.slowest_us,
                result.faults.empty() ? "no fault found" : "it has faults");
    return result.faults.empty() ? 0 : exit_failure;
}

CLI::App* add_check(CLI::App& policy, const std::shared_ptr<CheckFlags>& flags) {
    CLI::App* parser = policy.add_subcommand("check", "Try a plug-in with thousands of random states");
    parser->add_option("FILE", flags->options.path, "The library, or the name of a built-in policy")
        ->required();
    parser->add_option("--policy-option", flags->policy_options, "KEY=VALUE, for the policy; repeatable")
        ->allow_extra_args(false);
    parser->add_option("--states", flags->options.states, "How many random states")
        ->check(CLI::Range(1U, 10000000U))
        ->capture_default_str();
    parser->add_option("--seed", flags->options.seed, "Of the random states")->capture_default_str();
    parser->add_option("--policy-budget", flags->budget_ms, "Milliseconds for a decision")
        ->check(CLI::Range(1U, 60000U))
        ->capture_default_str();
    parser->footer(
        "Reports invalid decisions, exceptions, crashes, endless loops, slow calls, writes outside the "
        "arrays\n"
        "and leaks; exits with 1 if there are any.\n");
    return parser;
}

}  // namespace

Command policy_command(CLI::App& program) {
    CLI::App* parser = program.add_subcommand("policy", "Make and check scheduling policies");
    parser->require_subcommand(1);
    parser->footer("Built in: " + builtin_policy_names() + " (docs/policies.md).\n" +
                   "Examples:\n"
                   "  troupe policy new mine && cmake -S mine -B mine/build && cmake --build mine/build\n"
                   "  troupe policy check mine/build/libmine.so\n"
                   "  troupe serve --policy ./mine/build/libmine.so\n");
    const auto new_flags = std::make_shared<NewFlags>();
    CLI::App* make = parser->add_subcommand("new", "Write a project for a policy of your own");
    make->add_option("DIR", new_flags->directory, "Where; its name becomes the policy's")->required();
    const auto check_flags = std::make_shared<CheckFlags>();
    CLI::App* checker = add_check(*parser, check_flags);
    CLI::App* host = parser->add_subcommand("host", "")->group("");  // what --isolate-policy starts
    return {parser, [=] {
                if (make->parsed()) return make_project(*new_flags);
                if (checker->parsed()) return check(*check_flags);
                return host->parsed() ? run_policy_host(host_socket) : exit_usage;
            }};
}

}  // namespace troupe
