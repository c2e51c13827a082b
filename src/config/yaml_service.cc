// The keys of a service.
#include <algorithm>

#include "config/yaml_reader.h"

namespace sluice::config {

const char* to_string(ServiceKind k) {
  switch (k) {
    case ServiceKind::none:
      return "none";
    case ServiceKind::echo:
      return "echo";
    case ServiceKind::discard:
      return "discard";
    case ServiceKind::chargen:
      return "chargen";
    case ServiceKind::http:
      return "http";
    case ServiceKind::proxy:
      return "proxy";
  }
  return "";
}

namespace {

constexpr Duration kSecond = Duration::seconds(1), kDay = Duration::seconds(86400);

bool good_path(std::string_view s) {
  return s.find('\0') == s.npos;
}
// What may stand in a request line or a header without being taken for its end.
bool printable(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}
bool good_host(std::string_view s) {
  return printable(s) && s.find_first_of(" /") == s.npos;
}
bool good_url_path(std::string_view s) {
  return s.starts_with('/') && printable(s) && s.find(' ') == s.npos;
}

// ---- http

const Object<HttpService>& http_keys() {
  static const Object<HttpService> keys =
      Object<HttpService>("http")
          .key("body", "The answer to every path that nothing else answers.", text(0, 1u << 20, "a text of at most 1 MiB"),
               &HttpService::body)
          .key("content-type", "The Content-Type of the body.",
               text(1, 128, "a media type such as text/html", "^[ -~]+$", printable), &HttpService::content_type,
               "text/plain; charset=utf-8")
          .key("files", "A folder whose files are served. Relative to the folder of this file.",
               text(1, 4096, "the path of a folder", "", good_path), &HttpService::files)
          .key("max-files", "Bytes of all its files, which are read when the service starts; more is an error.",
               byte_size(1024, 64ull << 30), &HttpService::max_files, "256 MiB")
          .key("metrics", "yes: /metrics answers with the box's counters, for Prometheus.", boolean(),
               &HttpService::metrics, false)
          .key("healthz", "yes: /healthz answers 200 while the box runs.", boolean(), &HttpService::healthz, false)
          .key("max-head", "Bytes of a request's line and fields; above, the answer is 431.",
               byte_size(1024, 1u << 20), &HttpService::max_head, "8 KiB")
          .key("max-body", "Bytes of a request's body, which is thrown away; above, the answer is 413.",
               byte_size(1024, 1ull << 40), &HttpService::max_body, "1 MiB")
          .key("keep-alive-timeout", "How long a connection may be silent between two requests.",
               duration(kSecond, kDay), &HttpService::keep_alive_timeout, "60s")
          .key("request-timeout", "How long a request may take to arrive.", duration(kSecond, Duration::seconds(600)),
               &HttpService::request_timeout, "10s")
          .key("send-timeout", "How long a client may take to acknowledge more of an answer.",
               duration(kSecond, Duration::seconds(600)), &HttpService::send_timeout, "30s");
  return keys;
}

// ---- proxy

bool parse_endpoint(const std::string& s, Backend& b) {
  const size_t colon = s.rfind(':');
  if (colon == s.npos || colon + 1 == s.size()) return false;
  std::string host = s.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  auto a = parse_ip(host);
  uint16_t port = 0;
  auto [end, error] = std::from_chars(s.data() + colon + 1, s.data() + s.size(), port);
  if (!a || (a->family == 6) != brackets || error != std::errc() || end != s.data() + s.size() || port == 0)
    return false;
  b.address = *a;
  b.port = port;
  return true;
}

const Object<Backend>& backend_keys() {
  static const Object<Backend> keys =
      Object<Backend>("a backend")
          .key("address", "Its address.", ip_address(), &Backend::address)
          .required()
          .key("port", "Its port.", number<uint16_t>(1, 65535), &Backend::port)
          .required();
  return keys;
}

Type<Backend> backend() {
  static const std::string what = "a backend such as 192.0.2.10:80, \"[2001:db8::10]:80\" or {address: …, port: …}";
  return {Json{{"anyOf", Json::array({Json{{"type", "string"}, {"pattern", "^[0-9A-Fa-f:.\\[\\]]+:[0-9]{1,5}$"}},
                                      backend_keys().schema()})}},
          [](Reader& r, const At& at, Backend& b) {
            if (at.node->kind == Node::Kind::map) return backend_keys().read(r, at, b);
            if (at.node->kind == Node::Kind::scalar && parse_endpoint(at.node->text, b)) return true;
            return r.expected(at, what);
          }};
}

bool read_expected(Reader& r, const At& at, HealthCheck& h) {
  static const std::string what = "a status code or a range of them, such as 200 or 200-299 (100 to 599)";
  PortSpan span;
  if (at.node->kind != Node::Kind::scalar || at.node->text.size() > 7) return r.expected(at, what);
  if (!port_span().read(r, at, span)) return false;
  if (span.low < 100 || span.high > 599) return r.expected(at, what);
  h.expect_low = span.low;
  h.expect_high = span.high;
  return true;
}

const Object<HealthCheck>& health_keys() {
  static const Json status = {{"anyOf", Json::array({Json{{"type", "integer"}, {"minimum", 100}, {"maximum", 599}},
                                                     Json{{"type", "string"}, {"pattern", "^[1-5][0-9]{2}(-[1-5][0-9]{2})?$"}}})}};
  static const Object<HealthCheck> keys =
      Object<HealthCheck>("health")
          .own("tcp", "yes: a backend is healthy when it accepts a connection.", boolean().schema,
               [](Reader& r, const At& at, HealthCheck& h) {
                 bool on = false;
                 if (!boolean().read(r, at, on)) return;
                 if (!on) r.mistake(at, "found " + found(*at.node) + ", expected yes; leave the key out otherwise");
                 else h.kind = HealthCheck::Kind::tcp;
               })
          .own("http", "A path: a backend is healthy when it answers a GET of it with an expected status.",
               Json{{"type", "string"}, {"pattern", "^/[!-~]*$"}},
               [](Reader& r, const At& at, HealthCheck& h) {
                 if (text(1, 1024, "a path such as /healthz", "", good_url_path).read(r, at, h.path))
                   h.kind = HealthCheck::Kind::http;
               })
          .key("host", "http: the Host field of the request. When left out: the backend's address.",
               text(1, 255, "the name of a host", "^[^ \t/]+$", good_host), &HealthCheck::host)
          .key("interval", "Time between two checks of a backend.", duration(Duration::millis(100), Duration::seconds(3600)),
               &HealthCheck::interval, "2s")
          .key("timeout", "A check that takes longer has failed.", duration(Duration::millis(10), Duration::seconds(60)),
               &HealthCheck::timeout, "1s")
          .key("rise", "Checks in a row that must succeed before a backend gets connections again.",
               number<unsigned>(1, 100), &HealthCheck::rise, 2)
          .key("fall", "Checks in a row that must fail before it gets none.", number<unsigned>(1, 100),
               &HealthCheck::fall, 3)
          .own("expect", "http: the status codes that count as healthy.", status,
               [](Reader& r, const At& at, HealthCheck& h) { read_expected(r, at, h); }, "200-399");
  return keys;
}

const Object<ProxyService>& proxy_keys() {
  static const Object<ProxyService> keys =
      Object<ProxyService>("proxy")
          .key("backends", "Where connections go: addresses with their ports.", list_of(backend(), "backends"),
               &ProxyService::backends)
          .required()
          .key("balance", "round-robin: in turn. least-connections: to the backend that has the fewest.",
               choice<bool>({{"round-robin", false}, {"least-connections", true}}), &ProxyService::least_connections,
               "round-robin")
          .key("health", "How backends are checked. When left out they all count as healthy.", health_keys().type(),
               &ProxyService::health)
          .key("proxy-protocol", "v2: tell backends the client's address by a PROXY protocol header.",
               choice<bool>({{"off", false}, {"v2", true}}), &ProxyService::send_proxy_v2, "off")
          .key("connect-timeout", "How long a backend may take to accept; then another one is tried.",
               duration(Duration::millis(10), Duration::seconds(120)), &ProxyService::connect_timeout, "3s")
          .key("attempts", "Backends to try for a connection.", number<unsigned>(1, 64), &ProxyService::attempts, 3)
          .key("without-backend", "What a client gets where no backend can be had: reset, or an orderly close.",
               choice<bool>({{"reset", true}, {"close", false}}), &ProxyService::reset_without_backend, "reset")
          .key("idle-timeout", "Silence in both directions that ends a connection.", duration(kSecond, kDay),
               &ProxyService::idle_timeout, "300s");
  return keys;
}

// ---- the service around them

const Object<SimpleService>& simple_keys() {
  static const Object<SimpleService> keys =
      Object<SimpleService>("the service")
          .key("idle-timeout", "Silence that ends a connection.", duration(kSecond, kDay),
               &SimpleService::idle_timeout, "600s")
          .key("udp", "yes: answers datagrams on the same port, too.", boolean(), &SimpleService::udp, false);
  return keys;
}

// echo, discard and chargen: yes, or what is to be different.
void simple(Object<Service>& o, const char* name, const char* doc, ServiceKind kind) {
  o.own(name, doc, Json{{"anyOf", Json::array({boolean().schema, simple_keys().schema()})}},
        [kind](Reader& r, const At& at, Service& s) {
          s.kind = kind;
          if (at.node->kind == Node::Kind::map) {
            simple_keys().read(r, at, s.simple);
            return;
          }
          bool on = false;
          if (at.node->kind != Node::Kind::scalar)
            r.expected(at, "yes, or a map such as {idle-timeout: 5m}");
          else if (boolean().read(r, at, on) && !on)
            r.mistake(at, "found " + found(*at.node) + ", expected yes; leave the key out otherwise");
        });
}

template <class K>
void detailed(Object<Service>& o, const char* name, const char* doc, const Object<K>& keys, K Service::*member,
              ServiceKind kind) {
  const Object<K>* k = &keys;
  o.own(name, doc, keys.schema(), [k, member, kind](Reader& r, const At& at, Service& s) {
    s.kind = kind;
    k->read(r, at, s.*member);
  });
}

Object<Service> make_service_keys() {
  Object<Service> o("a service");
  o.key("name", "What the service is called in answers and events.",
        text(1, 63, "a name: letters, digits, - and _, a letter first", kNamePattern, good_name), &Service::name)
      .required();
  simple(o, "echo", "yes: sends back what it receives (RFC 862).", ServiceKind::echo);
  simple(o, "discard", "yes: throws away what it receives (RFC 863).", ServiceKind::discard);
  simple(o, "chargen", "yes: sends characters without end (RFC 864).", ServiceKind::chargen);
  detailed(o, "http", "An HTTP/1.1 server.", http_keys(), &Service::http, ServiceKind::http);
  detailed(o, "proxy", "Accepts connections and passes them on to backends.", proxy_keys(), &Service::proxy,
           ServiceKind::proxy);
  o.key("address", "The box's own address, or several, on which it listens. When left out: all of them.",
        one_or_many(ip_address(), "addresses"), &Service::addresses);
  o.key("port", "The TCP port on which it listens.", number<uint16_t>(1, 65535), &Service::port).required();
  o.key("max-connections", "Connections at a time, of each stack engine; above, a new one is closed at once.",
        number<unsigned>(1, 4u << 20), &Service::max_connections, 16384);
  o.key("receive-buffer", "In place of tcp.receive-buffer.", byte_size(4096, 1ull << 30), &Service::receive_buffer);
  o.key("send-buffer", "In place of tcp.send-buffer.", byte_size(4096, 1ull << 30), &Service::send_buffer);
  o.key("access-log", "yes: an event for each connection or request, up to a thousand a second.", boolean(),
        &Service::access_log, false);
  return o;
}

}  // namespace

const Object<Service>& service_keys() {
  static const Object<Service> keys = make_service_keys();
  return keys;
}

}  // namespace sluice::config
