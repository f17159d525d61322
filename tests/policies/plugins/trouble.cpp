// A plug-in that does what its option `do` says, and otherwise first come, first served.
#include <chrono>
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include "policies/batch.hpp"
#include "policies/policy_abi.h"

namespace {

using namespace troupe;

const char* volatile lost = nullptr;

struct Trouble {
    std::string what;
    std::uint64_t calls = 0;
};

void* create(const char* options, char* error, std::uint32_t) {
    std::string text(options);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    const std::string what = text.rfind("do=", 0) == 0 ? text.substr(3) : "";
    if (what == "refuse") std::copy_n("not today", 10, error);
    if (what == "refuse") return nullptr;
    if (what == "throw-create") throw std::runtime_error("no way");
    if (what == "leak-create") lost = new char[4000];
    if (what == "hang-create") {
        for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
    }
    if (what == "slow-create") std::this_thread::sleep_for(std::chrono::milliseconds(300));
    return new Trouble{what};
}
void destroy(void* self) { delete static_cast<Trouble*>(self); }

std::int32_t decide(void* self, const PolicyView* view, PolicyDecision* decision) {
    Trouble& trouble = *static_cast<Trouble*>(self);
    ++trouble.calls;
    const std::string& what = trouble.what;
    if (what == "throw") throw std::runtime_error("out of ideas");
    if (what == "throw-int") throw 42;
    if (what == "error") return 7;
    if (what == "leak") lost = new char[100];
    if (what == "slow") std::this_thread::sleep_for(std::chrono::milliseconds(30));
    if (what == "error-then-crash" && trouble.calls > 20) std::abort();
    if (what == "error-then-crash" && trouble.calls % 2 == 0) return 7;
    if (what == "crash" || (what == "crash-late" && trouble.calls > 3)) std::abort();
    if (what == "hang" || (what == "hang-late" && trouble.calls > 3)) {
        for (;;) lost = nullptr;
    }
    if (what == "exit") std::_Exit(0);
    if (what == "lie" && view->num_sequences > 0)
        const_cast<PolicySequence*>(view->sequences)[0].prompt_tokens += 1000;
    if (what == "outside") decision->victims[view->num_sequences] = 3;
    if (what == "garbage" && view->num_sequences > 0) {
        decision->rows[0] = {0xFFFFFFFF, 5};
        decision->num_rows = 1;
        return 0;
    }
    Batch batch(*view, *decision);
    batch.run(batch.running_by_arrival());
    if (!batch.has_preempted()) batch.admit(WaitingQueue(*view, [](const PolicySequence&) { return 0; }));
    if (what == "count") decision->num_rows = view->num_sequences + 1;
    return 0;
}

void on_event(void* self, const PolicyEvent*) {
    if (static_cast<Trouble*>(self)->what == "throw-event") throw std::runtime_error("bad news");
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const troupe::PolicyTable* troupe_policy(void) {
    static const troupe::PolicyTable table = {
        TROUPE_POLICY_ABI_VERSION, sizeof(troupe::PolicyTable), create, destroy, decide, on_event};
    return &table;
}
