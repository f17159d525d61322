// One HTTP/1.1 connection: reads requests one after the other, answers them in order, becomes a WebSocket
// when asked.
#pragma once
#include <boost/asio/ip/tcp.hpp>

#include "net/api.hpp"
#include "net/connections.hpp"

namespace troupe::net {

// Serves the socket until it is closed; its executor must be a strand.
void serve_http(boost::asio::ip::tcp::socket socket, Api& api, Connections::Slot slot);

// Answers 503 to whatever comes, because there are too many connections, and closes.
void refuse_http(boost::asio::ip::tcp::socket socket, Api& api, Connections::Slot slot);

}  // namespace troupe::net
