// docs/configuration.md, written from the schema. A test compares it with the file.
#pragma once
#include <string>

namespace troupe {

std::string configuration_document();

}  // namespace troupe
