// One WebSocket on /v1/responses: carries messages between the socket and ResponseLanes.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <string>

#include "net/api.hpp"
#include "net/connections.hpp"

namespace troupe::net {

// Takes over a socket whose upgrade request has been read and admitted.
void serve_websocket(boost::asio::ip::tcp::socket socket,
                     boost::beast::http::request<boost::beast::http::string_body> upgrade,
                     std::string request_id, Api& api, Connections::Slot slot);

}  // namespace troupe::net
