#include "apps/allocator.hpp"

#include <malloc.h>

namespace troupe {

// glibc raises its threshold to the largest block that was ever freed, up to 32 MiB. Blocks below it come
// from heaps with holes, whose pages stay: bodies of 8 MiB then held more than twice what they were counted
// for.
void return_large_buffers() {
#ifdef __GLIBC__
    ::mallopt(M_MMAP_THRESHOLD, 128 << 10);  // where it begins
    ::mallopt(M_TRIM_THRESHOLD, 8 << 20);
#endif
}

}  // namespace troupe
