// Connections in the words of the control socket: their names, rows of a list, one in full.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.h"
#include "tcp/stack.h"

namespace sluice::control {

using nlohmann::json;

// "ENGINE.SLOT.GENERATION": a connection of the box, for as long as it lives.
struct ConnName {
  unsigned stack = 0;
  tcp::ConnId id;
  bool operator==(const ConnName&) const = default;
};
std::string to_string(const ConnName& n);
std::optional<ConnName> parse_conn_name(std::string_view text);

struct AddressPort {
  IpAddr address;
  uint16_t port = 0;
};
// 192.0.2.1:80, [2001:db8::1]:80
std::string to_string(const AddressPort& a);
std::optional<AddressPort> parse_address_port(std::string_view text);

// The service that a connection belongs to: whose port was connected to, or for whose backend it was made. Empty: none
// that the configuration has now.
std::string service_of(const config::Model& m, const tcp::Info& i);

json connection_row(const ConnName& n, const tcp::Info& i, const std::string& service);
json connection_in_full(const ConnName& n, const tcp::Info& i, const std::string& service);

}  // namespace sluice::control
