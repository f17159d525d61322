#pragma once

namespace troupe {

// Every connection is an open file: raises this process's limit to what the system allows it.
void raise_open_file_limit();

}  // namespace troupe
