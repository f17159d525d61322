// The memory manager: blocks go down and come back as they were, or the answer says that they did not. Disks
// that fail, are slow, change pages or die are actors under virtual time.
#include "actors/memory_manager_actor.hpp"
#include "tests/actors/fake_disk.hpp"
#include "tests/actors/fake_model.hpp"
#include "tests/actors/simulation.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

struct Answers {
    std::shared_ptr<KvPool> pool;
    std::vector<MoveDone> moves;
};

using OwnerActor = caf::typed_actor<On<PoolReady, PoolHandle>, On<MoveDone>>;

OwnerActor::behavior_type owner(OwnerActor::pointer, std::shared_ptr<Answers> answers) {
    return {[answers](const PoolReady&, const PoolHandle& handle) { answers->pool = handle.pool; },
            [answers](const MoveDone& done) { answers->moves.push_back(done); }};
}

struct Fixture {
    Fixture(std::uint32_t host_pages, std::uint32_t disk_pages) {
        MemoryManagerOptions options{
            "fake", fake_backend(8).make_pool, {host_pages, disk_pages, "nowhere"}, false, {}};
        options.hooks.clock = [time = TimeUs{0}, this]() mutable { return time += per_move; };
        if (disk_pages > 0) {
            options.hooks.spawn_disk = [state = disk](MemoryManagerActor::pointer self, std::size_t) {
                return self->spawn<caf::linked>(fake_disk, state);
            };
        }
        auto peer = simulation.system.spawn(owner, answers);
        manager = simulation.system.spawn(memory_manager, options, caf::actor_cast<PoolOwner>(peer),
                                          caf::actor_cast<MoveReceiver>(peer));
        new_epoch(1);
    }
    ~Fixture() {
        caf::anon_send_exit(manager, caf::exit_reason::user_shutdown);
        manager = nullptr;
    }

    void new_epoch(Epoch number) {
        epoch = number;
        caf::anon_send(manager, CreatePool{epoch});
        simulation.run();
    }

    std::vector<TokenId>& slots() { return static_cast<FakePool&>(*answers->pool).slots; }
    void fill(BlockId block, TokenId value) {
        for (int i = 0; i < 4; ++i) slots()[static_cast<std::size_t>(block * 4 + i)] = value + i;
    }
    bool holds(BlockId block, TokenId value) {
        for (int i = 0; i < 4; ++i) {
            if (slots()[static_cast<std::size_t>(block * 4 + i)] != value + i) return false;
        }
        return true;
    }

    void order(std::vector<BlockMove> moves) {
        caf::anon_send(manager, MoveBlocks{epoch, ++last_job, std::move(moves)});
        simulation.run();
    }
    // How many moves of a job succeeded; -1: no answer yet.
    int moved(std::vector<BlockMove> moves) {
        const std::size_t before = answers->moves.size();
        order(std::move(moves));
        if (answers->moves.size() == before) return -1;
        CHECK(answers->moves.size() == before + 1);
        CHECK(answers->moves.back().job == last_job);
        CHECK(answers->moves.back().epoch == epoch);
        return static_cast<int>(answers->moves.back().num_moved);
    }

    TimeUs per_move = 1;  // that every move seems to take
    Simulation simulation;
    std::shared_ptr<Disk> disk = std::make_shared<Disk>();
    std::shared_ptr<Answers> answers = std::make_shared<Answers>();
    MemoryManagerActor manager;
    Epoch epoch = 0;
    JobId last_job = 0;
};

BlockPlace device(BlockId slot) { return {Tier::device, slot}; }
BlockPlace host(BlockId slot) { return {Tier::host, slot}; }
BlockPlace on_disk(BlockId slot) { return {Tier::disk, slot}; }

}  // namespace

TEST_CASE("blocks go down through the tiers and come back as they were") {
    Fixture fixture(4, 4);
    fixture.fill(0, 100);
    fixture.fill(1, 200);
    CHECK(fixture.moved({{device(0), host(3)}, {device(1), host(0)}}) == 2);
    CHECK(fixture.moved({{host(3), on_disk(2)}, {device(1), on_disk(0)}}) == 2);
    fixture.fill(0, 0);
    fixture.fill(1, 0);
    CHECK(fixture.moved({{host(0), device(5)}, {on_disk(2), device(6)}, {on_disk(0), host(1)}}) == 3);
    CHECK(fixture.moved({{host(1), device(7)}}) == 1);
    CHECK(fixture.holds(5, 200));
    CHECK(fixture.holds(6, 100));
    CHECK(fixture.holds(7, 200));
}

TEST_CASE("places that are not there are answered, not written to") {
    Fixture fixture(2, 0);
    CHECK(fixture.moved({{device(0), host(1)}, {device(0), host(2)}, {device(0), host(0)}}) == 1);
    CHECK(fixture.moved({{device(0), host(-1)}}) == 0);
    CHECK(fixture.moved({{host(2), device(0)}}) == 0);
    CHECK(fixture.moved({{device(0), device(1)}}) == 0);
    CHECK(fixture.moved({{device(0), on_disk(0)}}) == 0);
    Fixture none(0, 0);
    CHECK(none.moved({{device(0), host(0)}}) == 0);
}

TEST_CASE("a disk that is full, or changes pages, costs only the moves that meet it") {
    Fixture fixture(2, 2);
    fixture.fill(0, 100);
    fixture.disk->full = true;
    CHECK(fixture.moved({{device(0), host(0)}, {host(0), on_disk(0)}, {device(0), host(1)}}) == 1);
    CHECK(fixture.moved({{host(0), device(3)}}) == 1);
    CHECK(fixture.holds(3, 100));
    fixture.disk->full = false;
    CHECK(fixture.moved({{device(0), on_disk(1)}}) == 1);
    fixture.disk->corrupts = true;
    CHECK(fixture.moved({{on_disk(1), device(4)}}) == 0);
    fixture.disk->corrupts = false;
    CHECK(fixture.moved({{on_disk(1), device(4)}}) == 1);
    CHECK(fixture.holds(4, 100));
}

TEST_CASE("a disk that hangs keeps only the jobs that wait for it, and is given up") {
    Fixture fixture(2, 2);
    fixture.fill(0, 100);
    fixture.disk->hangs = true;
    CHECK(fixture.moved({{device(0), on_disk(0)}}) == -1);
    CHECK(fixture.moved({{device(0), on_disk(1)}}) == -1);
    CHECK(fixture.moved({{device(0), host(0)}}) == 1);  // overtakes them
    fixture.simulation.advance(9s);
    CHECK(fixture.answers->moves.size() == 1);
    fixture.simulation.advance(1s);
    REQUIRE(fixture.answers->moves.size() == 3);
    CHECK(fixture.answers->moves[1] == MoveDone{1, 1, 0, fixture.answers->moves[1].us});
    CHECK(fixture.answers->moves[2] == MoveDone{1, 2, 0, fixture.answers->moves[2].us});
    CHECK(fixture.moved({{device(0), on_disk(0)}}) == 0);
    CHECK(fixture.disk->transfers == 1);  // nobody asks it any more
    CHECK(fixture.moved({{host(0), device(1)}}) == 1);
    CHECK(fixture.holds(1, 100));
}

TEST_CASE("a job that keeps a slow disk for long ends with what it has moved") {
    Fixture fixture(2, 4);
    const std::vector<BlockMove> moves = {
        {device(0), on_disk(0)}, {device(1), on_disk(1)}, {device(2), on_disk(2)}, {device(3), on_disk(3)}};
    fixture.per_move = 2'000'000;
    CHECK(fixture.moved(moves) == 3);
    CHECK(fixture.answers->moves.back().us == 6'000'000);
    fixture.per_move = 1'000'000;
    CHECK(fixture.moved(moves) == 4);
}

TEST_CASE("a disk whose actor dies is given up, the memory manager lives on") {
    Fixture fixture(2, 2);
    fixture.fill(0, 100);
    CHECK(fixture.moved({{device(0), host(0)}, {device(0), on_disk(0)}}) == 2);
    fixture.disk->dies = true;
    CHECK(fixture.moved({{on_disk(0), device(1)}}) == 0);
    CHECK(fixture.moved({{on_disk(0), device(1)}}) == 0);
    CHECK(fixture.moved({{host(0), device(1)}}) == 1);
    CHECK(fixture.holds(1, 100));
}

TEST_CASE("an epoch's end loses its moves, not what is below") {
    Fixture fixture(2, 2);
    fixture.fill(0, 100);
    CHECK(fixture.moved({{device(0), host(0)}, {device(0), on_disk(1)}}) == 2);
    fixture.disk->hangs = true;
    CHECK(fixture.moved({{on_disk(1), device(2)}}) == -1);
    fixture.new_epoch(2);
    caf::anon_send(fixture.manager, MoveBlocks{1, 9, {{host(0), device(3)}}});
    fixture.simulation.advance(20s);
    CHECK(fixture.answers->moves.size() == 1);  // of the job before
    CHECK_FALSE(fixture.holds(3, 100));
    CHECK(fixture.moved({{host(0), device(3)}}) == 1);
    CHECK(fixture.holds(3, 100));
}
