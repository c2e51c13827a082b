// Services and the tcp section against the rest of the file.
#include <algorithm>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

std::string endpoint(const IpAddr& a, uint16_t port) {
  return (a.family == 6 ? "[" + to_string(a) + "]" : to_string(a)) + ":" + std::to_string(port);
}

// The box's own addresses. Link-local ones stay out: a service on one could not be told by its address alone.
class OwnAddresses {
 public:
  explicit OwnAddresses(const Model& m) {
    for (const Port& p : m.ports)
      for (const Prefix& a : p.addresses)
        if (!a.addr.none()) all_.push_back(a.addr);
  }
  bool has(const IpAddr& a) const { return std::find(all_.begin(), all_.end(), a) != all_.end(); }
  std::string list() const {
    std::string s;
    constexpr size_t kShown = 8;
    for (size_t i = 0; i < std::min(kShown, all_.size()); i++) s += (i ? ", " : "") + to_string(all_[i]);
    return all_.size() > kShown ? s + ", …" : s;
  }
  bool empty() const { return all_.empty(); }

 private:
  std::vector<IpAddr> all_;
};

bool listens_on(const Service& s, const IpAddr& a, uint16_t port) {
  return s.port == port &&
         (s.addresses.empty() || std::find(s.addresses.begin(), s.addresses.end(), a) != s.addresses.end());
}

void check_kind(const Service& s, const std::string& base, Findings& f) {
  const Node* n = f.doc().locate(base);
  std::vector<const char*> said;
  for (ServiceKind k : {ServiceKind::echo, ServiceKind::discard, ServiceKind::chargen, ServiceKind::http,
                        ServiceKind::proxy})
    if (n->find(to_string(k))) said.push_back(to_string(k));
  if (said.empty())
    f.add(base, "what the service does is missing: echo, discard, chargen, http or proxy");
  else if (said.size() > 1)
    f.add(base + "." + said[1], std::string("the service is ") + said[0] + " already; a service does one thing");
  if (s.kind == ServiceKind::http && !s.http.body && s.http.files.empty() && !s.http.metrics && !s.http.healthz)
    f.add(base + ".http", "there is nothing to answer with: body, files, metrics or healthz");
}

void check_addresses(const Service& s, const std::string& base, const OwnAddresses& own, Findings& f) {
  const Node* n = f.doc().locate(base)->find("address");
  for (size_t i = 0; i < s.addresses.size(); i++) {
    const bool list = n && n->kind == Node::Kind::sequence;
    const std::string path = base + ".address" + (list ? "[" + std::to_string(i) + "]" : "");
    if (!own.has(s.addresses[i]) && !f.doubtful("ports"))
      f.add(path, "found '" + to_string(s.addresses[i]) + "', which is not an address of the box" +
                      (own.empty() ? "; its ports have none" : "; its ports have " + own.list()));
    if (std::find(s.addresses.begin(), s.addresses.begin() + static_cast<std::ptrdiff_t>(i), s.addresses[i]) !=
        s.addresses.begin() + static_cast<std::ptrdiff_t>(i))
      f.add(path, "the address '" + to_string(s.addresses[i]) + "' is given twice");
  }
}

// One on all addresses and one on a single address may share a port; the latter answers there.
void check_conflict(const Service& s, const Service& earlier, const std::string& base, Findings& f) {
  if (s.port != earlier.port || s.addresses.empty() != earlier.addresses.empty()) return;
  for (const IpAddr& a : s.addresses)
    if (listens_on(earlier, a, s.port)) {
      f.add(base + ".port", "found " + std::to_string(s.port) + ", but '" + earlier.name + "' listens on " +
                                endpoint(a, s.port) + " already");
      return;
    }
  if (s.addresses.empty())
    f.add(base + ".port", "found " + std::to_string(s.port) + ", but '" + earlier.name +
                              "' listens on that port of all addresses already");
}

// ---- proxies

// Whether some route leads there, as far as the file tells.
bool routed(const Model& m, const IpAddr& a) {
  if (!m.route_files.empty()) return true;
  for (const Port& p : m.ports)
    for (const Prefix& s : p.addresses)
      if (s.contains(a)) return true;
  const Route* best = nullptr;
  for (const Route& r : m.routes)
    if (r.to.contains(a) && (!best || r.to.len > best->to.len)) best = &r;
  return best && best->kind == Route::Kind::via;
}

void check_backend(const Model& m, const Backend& b, const std::string& path, const OwnAddresses& own, Findings& f) {
  const std::string found = "found '" + endpoint(b.address, b.port) + "'";
  if (b.address.family == 6 && b.address.v6().link_local())
    f.add(path, found + ", which is link-local: a backend needs an address that says by itself where it is");
  else if (own.has(b.address))
    f.add(path, found + ", which is the box itself; a proxy leads to other machines");
  else if (!f.doubtful("ports") && !f.doubtful("routes") && !routed(m, b.address))
    f.add(path, found + ", but no route leads there");
}

void check_proxy(const Model& m, const Service& s, const std::string& base, const OwnAddresses& own, Findings& f) {
  const auto& backends = s.proxy.backends;
  if (backends.size() > kMaxBackends)
    f.add(base + ".backends", "found " + std::to_string(backends.size()) + " backends, expected at most " +
                                  std::to_string(kMaxBackends));
  for (size_t i = 0; i < backends.size(); i++) {
    const Backend& b = backends[i];
    const std::string path = base + ".backends[" + std::to_string(i) + "]";
    if (b.address.none() || f.doubtful(path)) continue;
    check_backend(m, b, path, own, f);
    for (size_t k = 0; k < i; k++)
      if (backends[k].address == b.address && backends[k].port == b.port)
        f.add(path, "the backend '" + endpoint(b.address, b.port) + "' is given twice");
  }
}

void check_health(const HealthCheck& h, const std::string& base, Findings& f) {
  const Node* n = f.doc().locate(base);
  if (n->kind != Node::Kind::map || f.doubtful(base)) return;
  if (n->find("tcp") && n->find("http"))
    f.add(base + ".http", "a check is tcp or http; http connects, too");
  else if (h.kind == HealthCheck::Kind::none)
    f.add(base, "what is checked is missing: tcp: yes, or http: PATH");
  for (const char* key : {"expect", "host"})
    if (h.kind == HealthCheck::Kind::tcp && n->find(key))
      f.add(base + "." + key, std::string("a tcp check has no use for '") + key + "'; check with http, or remove it");
  if (h.timeout > h.interval)
    f.add(base + (n->find("timeout") ? ".timeout" : ".interval"),
          "a check may take " + format_duration(h.timeout) + ", but the next one follows after " +
              format_duration(h.interval) + "; expected a timeout of at most the interval");
}

}  // namespace

void validate_services(const Model& m, Findings& f) {
  const OwnAddresses own(m);
  if (m.services.size() > kMaxServices)
    f.add("services", "found " + std::to_string(m.services.size()) + " services, expected at most " +
                          std::to_string(kMaxServices));
  for (size_t i = 0; i < m.services.size(); i++) {
    const Service& s = m.services[i];
    const std::string base = "services[" + std::to_string(i) + "]";
    if (f.doubtful(base)) continue;
    check_kind(s, base, f);
    check_addresses(s, base, own, f);
    for (size_t k = 0; k < i; k++) {
      if (m.services[k].name == s.name)
        f.add(base + ".name", "the name '" + s.name + "' is taken by services[" + std::to_string(k) + "]");
      if (!f.doubtful("services[" + std::to_string(k) + "]")) check_conflict(s, m.services[k], base, f);
    }
    if (s.kind != ServiceKind::proxy) continue;
    check_proxy(m, s, base + ".proxy", own, f);
    if (f.doc().locate(base + ".proxy")->find("health")) check_health(s.proxy.health, base + ".proxy.health", f);
  }
}

void validate_tcp(const Model& m, Findings& f) {
  const Tcp& t = m.tcp;
  if (f.doubtful("tcp")) return;
  const auto at_most = [&](const char* path, uint64_t value, const char* other, uint64_t limit) {
    if (value > limit)
      f.add(path, "found " + std::to_string(value) + ", but " + other + " is " + std::to_string(limit) +
                      "; expected at most that");
  };
  at_most("tcp.limits.cookie-mark", t.cookie_mark, "limits.half-open", t.half_open);
  at_most("tcp.limits.half-open", t.half_open, "limits.connections", t.connections);
  at_most("tcp.limits.time-wait", t.time_waits, "limits.connections", t.connections);
  if (t.packets > m.system.packets && !f.doubtful("system"))
    f.add("tcp.limits.packets", "found " + std::to_string(t.packets) + ", but system.packets is " +
                                    std::to_string(m.system.packets) + "; expected less");
  if (t.rto_min > t.rto_initial)
    f.add("tcp.rto.min", "found " + format_duration(t.rto_min) + ", but rto.initial is " +
                             format_duration(t.rto_initial) + "; expected at most that");
  if (t.rto_initial > t.rto_max)
    f.add("tcp.rto.max", "found " + format_duration(t.rto_max) + ", but rto.initial is " +
                             format_duration(t.rto_initial) + "; expected at least that");
  if (t.delayed_ack > t.rto_min)
    f.add("tcp.delayed-ack", "found " + format_duration(t.delayed_ack) + ", longer than rto.min, " +
                                 format_duration(t.rto_min) + ": a peer like this one would send everything twice");
  if (!t.window_scaling && t.receive_buffer > 65535)
    f.add("tcp.window-scaling", "without it a window has at most 64 KiB, but receive-buffer is " +
                                    format_bytes(t.receive_buffer) + "; expected a receive-buffer of 63 KiB");
}

}  // namespace sluice::config
