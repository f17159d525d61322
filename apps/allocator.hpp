#pragma once

namespace troupe {

// What a large buffer (of a request's body, its JSON, a prompt) has held is the system's again when it is
// freed, for the whole process and all its life.
void return_large_buffers();

}  // namespace troupe
