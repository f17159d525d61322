#include "apps/policy_check.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "apps/policy_trial.hpp"

namespace troupe {
namespace {

std::string text_of(int file) {
    std::ifstream in("/proc/self/fd/" + std::to_string(file));
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

// What the child wrote; if it did not come to its end, what it had found until then.
void read_report(int file, PolicyCheckReport& report) {
    std::vector<std::string> found;
    bool ended = false;
    std::istringstream lines(text_of(file));
    std::string line;
    while (std::getline(lines, line)) {
        std::istringstream words(line);
        std::string kind;
        words >> kind;
        if (kind == "numbers") {
            words >> report.decisions >> report.median_us >> report.slowest_us;
            ended = true;
        } else if (kind == "fault") {
            report.faults.push_back(line.substr(6));
        } else if (kind == "found") {
            found.push_back(line.substr(6));
        }
    }
    if (!ended) report.faults.insert(report.faults.end(), found.begin(), found.end());
}

std::string during(const TrialProgress& progress) { return std::string(" in ") + progress.doing; }

}  // namespace

PolicyCheckReport check_policy(const PolicyCheckOptions& options) {
    PolicyCheckReport report;
    void* shared =
        mmap(nullptr, sizeof(TrialProgress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const int file = memfd_create("report", MFD_CLOEXEC);
    if (shared == MAP_FAILED || file < 0) return {{"there is no memory for the check"}};
    auto& progress = *new (shared) TrialProgress;
    const pid_t child = fork();
    if (child < 0) return {{"no process could be made for the check"}};
    if (child == 0) {
        for (const int fatal : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) signal(fatal, SIG_DFL);
        run_policy_trial(options, progress, file);
        progress.done = true;
        _exit(0);
    }
    using Clock = std::chrono::steady_clock;
    std::uint64_t calls = 0;
    auto moved = Clock::now();
    int status = 0;
    bool stuck = false;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (const std::uint64_t now = progress.calls; now != calls) {
            calls = now;
            moved = Clock::now();
        }
        if (Clock::now() - moved > options.patience) {
            stuck = true;
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    read_report(file, report);
    if (stuck) {
        report.faults.push_back("did not return within " + std::to_string(options.patience.count()) + " ms" +
                                during(progress));
    } else if (WIFSIGNALED(status)) {
        report.faults.push_back(std::string("crashed (") + strsignal(WTERMSIG(status)) + ")" +
                                during(progress));
    } else if (!progress.done) {
        report.faults.push_back("ended the process" + during(progress));
    }
    close(file);
    munmap(shared, sizeof(TrialProgress));
    return report;
}

}  // namespace troupe
