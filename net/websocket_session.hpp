// One WebSocket on /v1/responses: carries messages between the socket and ResponseLanes.
#pragma once
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "net/api.hpp"
#include "net/connections.hpp"
#include "net/stream.hpp"

namespace troupe::net {

// Takes over a stream whose upgrade request has been read and admitted.
void serve_websocket(Stream stream, boost::beast::http::request<boost::beast::http::string_body> upgrade,
                     HttpRequest request, Api& api, Connections::Slot slot);

}  // namespace troupe::net
