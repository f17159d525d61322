// What is physical and slow about KV memory of one replica. Today that is the pool itself: made empty for
// each epoch, off the threads that others wait for. Host and disk tiers will live here too.
#pragma once
#include <functional>
#include <memory>

#include "actors/messages.hpp"

namespace troupe {

// Detached. Throws what make_pool throws (it dies; the supervisor starts another one later).
MemoryManagerActor::behavior_type memory_manager(MemoryManagerActor::pointer self,
                                                 std::function<std::shared_ptr<KvPool>()> make_pool,
                                                 PoolOwner owner);

}  // namespace troupe
