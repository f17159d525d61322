// The other end of an IsolatedPort: the process that a policy has to itself.
#pragma once

namespace troupe {

// Loads the policy that the first message names and answers until the socket is closed; the process should
// end then. It ends by itself when the other side does, even while the policy does not return. The exit
// status.
int run_policy_host(int socket);

}  // namespace troupe
