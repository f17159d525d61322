// One WebSocket on /v1/responses: carries messages between the socket and ResponseLanes.
#pragma once
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>

#include "net/api.hpp"
#include "net/connections.hpp"
#include "net/stream.hpp"

namespace troupe::net {

// Why this upgrade to a WebSocket is not to be had, if it is not.
std::optional<HttpReply> upgrade_refusal(const Api& api, const boost::beast::http::fields& header);

// Takes over a stream whose upgrade request has no upgrade_refusal().
void serve_websocket(Stream stream, boost::beast::http::request<boost::beast::http::string_body> upgrade,
                     HttpRequest request, Api& api, Connections::Slot slot);

}  // namespace troupe::net
