// One HTTP/1.1 connection: reads requests one after the other, answers them in order, becomes a WebSocket
// when asked.
#pragma once
#include "net/api.hpp"
#include "net/connections.hpp"
#include "net/stream.hpp"

namespace troupe::net {

// Serves the stream, its handshake first, until it is closed; its executor must be a strand.
void serve_http(Stream stream, Api& api, Connections::Slot slot);

// Answers 503 with that error to whatever comes, and closes.
void refuse_http(Stream stream, Api& api, Connections::Slot slot, Error error);

}  // namespace troupe::net
