// What services are to be, as plain values; config/ translates its files into them. Durations are nanoseconds, 0 in a
// time-out: never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/instant.h"
#include "sluice/app.h"

namespace sluice::apps {

enum class ServiceKind : uint8_t { echo, discard, chargen, http, proxy };
const char* to_string(ServiceKind k);

struct HttpOptions {
  std::optional<std::string> body;           // for every path that nothing else answers
  std::string content_type = "text/plain; charset=utf-8";  // of body
  std::string files;                         // a directory, read once, when the service is made
  uint64_t files_most = 256ull << 20;        // bytes of all files; more: an error
  bool metrics = false, healthz = false;     // /metrics and /healthz
  uint32_t head_most = 8192;                 // bytes of a request's line and fields; above: 431
  uint64_t body_most = 1 << 20;              // bytes of a request's body (discarded); above: 413
  Duration request_timeout = Duration::seconds(10);    // from a request's first byte to its last; above: 408
  Duration keepalive_timeout = Duration::seconds(60);  // between requests
  Duration send_timeout = Duration::seconds(30);       // without progress while a response waits to be acknowledged
  bool operator==(const HttpOptions&) const = default;
};

enum class CheckKind : uint8_t { none, tcp, http };  // none: always taken for healthy

// How a health check is made. A target is up at first, so that a restart does not begin with an outage.
struct CheckOptions {
  CheckKind kind = CheckKind::tcp;
  Duration interval = Duration::seconds(2), timeout = Duration::seconds(1);
  uint8_t rise = 2, fall = 3;                // so many in a row change the state
  std::string path = "/";                    // http
  std::string host;                          // http: the Host field; empty: the address
  uint16_t status_low = 200, status_high = 399;  // http: what is expected
  bool operator==(const CheckOptions&) const = default;
};

enum class Balance : uint8_t { round_robin, least_connections };
enum class AllDown : uint8_t { reset, close };

struct ProxyOptions {
  std::vector<app::Endpoint> backends;
  Balance balance = Balance::round_robin;
  AllDown all_down = AllDown::reset;         // what the client gets where no backend can be had
  Duration connect_timeout = Duration::seconds(3);  // of one attempt
  uint8_t attempts = 3;                      // at most, each with another backend while there is one
  Duration idle_timeout = Duration::seconds(300);   // no byte in either direction
  bool proxy_protocol = false;               // version 2 (binary), in front of the client's bytes
  CheckOptions check;
  bool operator==(const ProxyOptions&) const = default;
};

struct ServiceConfig {
  std::string name;                          // unique
  ServiceKind kind = ServiceKind::echo;
  std::vector<app::Endpoint> listen;         // family 0: any address of the box
  uint32_t connections = 16384;              // at a time; above, a new one is closed at once
  uint32_t receive_buffer = 0, send_buffer = 0;     // 0: the stack's
  Duration idle_timeout = Duration::seconds(600);   // echo, discard, chargen
  bool log = false;                          // an access record for every request or connection
  HttpOptions http;
  ProxyOptions proxy;
  bool operator==(const ServiceConfig&) const = default;
};

inline constexpr unsigned kMaxServices = 64;
inline constexpr unsigned kMaxBackends = 64;        // of one proxy

}  // namespace sluice::apps
