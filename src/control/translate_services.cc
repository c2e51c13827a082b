// Services and the tcp section in the words of apps/ and tcp/.
#include <algorithm>

#include "control/translate.h"

namespace sluice::control {
namespace {

static_assert(config::kMaxServices <= apps::kMaxServices && config::kMaxBackends <= apps::kMaxBackends);

apps::ServiceKind kind(config::ServiceKind k) {
  switch (k) {
    case config::ServiceKind::none:
    case config::ServiceKind::echo: return apps::ServiceKind::echo;
    case config::ServiceKind::discard: return apps::ServiceKind::discard;
    case config::ServiceKind::chargen: return apps::ServiceKind::chargen;
    case config::ServiceKind::http: return apps::ServiceKind::http;
    case config::ServiceKind::proxy: return apps::ServiceKind::proxy;
  }
  return apps::ServiceKind::echo;
}

apps::CheckKind kind(config::HealthCheck::Kind k) {
  switch (k) {
    case config::HealthCheck::Kind::none: return apps::CheckKind::none;
    case config::HealthCheck::Kind::tcp: return apps::CheckKind::tcp;
    case config::HealthCheck::Kind::http: return apps::CheckKind::http;
  }
  return apps::CheckKind::none;
}

app::Endpoint endpoint(const IpAddr& a, uint16_t port) {
  app::Endpoint e;
  e.port = port;
  e.address.family = a.family;
  std::copy_n(a.b.begin(), a.bits() / 8, e.address.bytes);
  return e;
}

void fill(apps::HttpOptions& to, const config::HttpService& from) {
  to.body = from.body;
  to.content_type = from.content_type;
  to.files = from.files;
  to.files_most = from.max_files;
  to.metrics = from.metrics;
  to.healthz = from.healthz;
  to.head_most = static_cast<uint32_t>(from.max_head);
  to.body_most = from.max_body;
  to.request_timeout = from.request_timeout;
  to.keepalive_timeout = from.keep_alive_timeout;
  to.send_timeout = from.send_timeout;
}

void fill(apps::ProxyOptions& to, const config::ProxyService& from) {
  for (const config::Backend& b : from.backends) to.backends.push_back(endpoint(b.address, b.port));
  to.balance = from.least_connections ? apps::Balance::least_connections : apps::Balance::round_robin;
  to.all_down = from.reset_without_backend ? apps::AllDown::reset : apps::AllDown::close;
  to.connect_timeout = from.connect_timeout;
  to.attempts = static_cast<uint8_t>(from.attempts);
  to.idle_timeout = from.idle_timeout;
  to.proxy_protocol = from.send_proxy_v2;
  const config::HealthCheck& h = from.health;
  to.check.kind = kind(h.kind);
  to.check.interval = h.interval;
  to.check.timeout = h.timeout;
  to.check.rise = static_cast<uint8_t>(h.rise);
  to.check.fall = static_cast<uint8_t>(h.fall);
  if (!h.path.empty()) to.check.path = h.path;
  to.check.host = h.host;
  to.check.status_low = h.expect_low;
  to.check.status_high = h.expect_high;
}

}  // namespace

std::vector<apps::ServiceConfig> service_configs(const config::Model& m) {
  std::vector<apps::ServiceConfig> out;
  for (const config::Service& s : m.services) {
    apps::ServiceConfig c;
    c.name = s.name;
    c.kind = kind(s.kind);
    for (const IpAddr& a : s.addresses) c.listen.push_back(endpoint(a, s.port));
    if (s.addresses.empty()) c.listen.push_back(endpoint({}, s.port));
    c.connections = s.max_connections;
    c.receive_buffer = static_cast<uint32_t>(s.receive_buffer);
    c.send_buffer = static_cast<uint32_t>(s.send_buffer);
    c.idle_timeout = s.simple.idle_timeout;
    c.log = s.access_log;
    if (s.kind == config::ServiceKind::http) fill(c.http, s.http);
    if (s.kind == config::ServiceKind::proxy) fill(c.proxy, s.proxy);
    out.push_back(std::move(c));
  }
  return out;
}

std::vector<stack::UdpBinding> udp_bindings(const config::Model& m) {
  std::vector<stack::UdpBinding> out;
  for (const config::Service& s : m.services) {
    const bool simple = s.kind == config::ServiceKind::echo || s.kind == config::ServiceKind::discard ||
                        s.kind == config::ServiceKind::chargen;
    if (!simple || !s.simple.udp) continue;
    stack::UdpBinding b;
    b.port = s.port;
    b.service = s.kind == config::ServiceKind::echo      ? stack::UdpService::echo
                : s.kind == config::ServiceKind::discard ? stack::UdpService::discard
                                                         : stack::UdpService::chargen;
    if (s.addresses.empty()) out.push_back(b);
    for (const IpAddr& a : s.addresses) out.push_back({a, b.port, b.service});
  }
  return out;
}

tcp::Config tcp_config(const config::Tcp& t) {
  tcp::Config c;
  tcp::Limits& l = c.limits;
  l.connections = t.connections;
  l.half_open = t.half_open;
  l.cookie_mark = t.cookie_mark;
  l.time_wait = t.time_waits;
  l.out_of_order = t.out_of_order;
  l.chunks = t.chunks;
  l.records = t.records;
  l.challenge_acks_per_second = t.challenge_acks_per_second;
  l.resets_per_second = t.resets_per_second;
  tcp::Tuning& u = c.tuning;
  u.congestion = t.newreno ? tcp::CongestionControl::newreno : tcp::CongestionControl::cubic;
  u.ecn = t.ecn != config::Tcp::Ecn::off;
  u.ecn_active = t.ecn == config::Tcp::Ecn::request;
  u.sack = t.sack;
  u.timestamps = t.timestamps;
  u.window_scaling = t.window_scaling;
  u.nagle = t.nagle;
  u.initial_window = static_cast<uint8_t>(t.initial_window);
  u.hop_limit = static_cast<uint8_t>(t.hop_limit);
  u.syn_retries = static_cast<uint8_t>(t.syn_retries);
  u.syn_ack_retries = static_cast<uint8_t>(t.syn_ack_retries);
  u.rto_initial = t.rto_initial;
  u.rto_min = t.rto_min;
  u.rto_max = t.rto_max;
  u.give_up = t.give_up;
  u.delayed_ack = t.delayed_ack;
  u.time_wait = t.time_wait;
  u.fin_wait_2 = t.fin_wait_2;
  u.keepalive_idle = t.keepalive_idle;
  u.keepalive_interval = t.keepalive_interval;
  u.keepalive_probes = static_cast<uint8_t>(t.keepalive_probes);
  u.mtu_probe_floor = static_cast<uint16_t>(t.mtu_probe_floor);
  u.receive_buffer = static_cast<uint32_t>(t.receive_buffer);
  u.send_buffer = static_cast<uint32_t>(t.send_buffer);
  return c;
}

}  // namespace sluice::control
