// The files of a new policy's project, in the program itself: `troupe policy new` needs nothing else.
#pragma once
#include <string_view>
#include <vector>

namespace troupe {

struct PolicyFile {
    std::string_view path;  // @NAME@ stands for the policy's name, here and in the text
    std::string_view text;
};
std::vector<PolicyFile> policy_project_files();

}  // namespace troupe
