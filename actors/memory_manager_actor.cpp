#include "actors/memory_manager_actor.hpp"

namespace troupe {

MemoryManagerActor::behavior_type memory_manager(MemoryManagerActor::pointer self,
                                                 std::function<std::shared_ptr<KvPool>()> make_pool,
                                                 PoolOwner owner) {
    exit_with_exceptions(self);
    return {[=](const CreatePool& message) {
        self->send(owner, PoolReady{message.epoch}, PoolHandle{make_pool()});
    }};
}

}  // namespace troupe
