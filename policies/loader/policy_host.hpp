// The other end of an IsolatedPort: the process that a policy has to itself.
#pragma once

namespace troupe {

// The descriptor that an IsolatedPort gives its host.
inline constexpr int host_socket = 3;

// Loads the policy that the first message names and answers until the socket is closed; the process should
// end then. It ends by itself when the other side does, even while the policy does not return. The exit
// status.
int run_policy_host(int socket);

}  // namespace troupe
