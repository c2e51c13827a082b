#include "control/services.h"

#include <algorithm>

#include "control/access_log.h"
#include "control/commands.h"
#include "control/translate.h"

namespace sluice::control {
namespace {

bool same(const std::vector<stack::UdpBinding>& a, const std::vector<stack::UdpBinding>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const stack::UdpBinding& x, const stack::UdpBinding& y) {
    return x.address == y.address && x.port == y.port && x.service == y.service;
  });
}

}  // namespace

ServiceControl::ServiceControl(engine::Box& box)
    : box_(box), set_(box.stacks(), [&box](unsigned engine, const std::function<void(apps::Host&)>& f) {
        return box.run_on_stack(engine, [&](stack::HostStack&, apps::Host& h) { f(h); });
      }) {}

Result<ServiceControl::Prepared> ServiceControl::prepare(const config::Model& m) {
  auto services = set_.prepare(service_configs(m), static_cast<int64_t>(unix_now()));
  if (!services) return Error{services.error()};
  Prepared p{std::move(*services), udp_bindings(m), false};
  p.changes = p.services.changes() || !same(p.udp, udp_);
  return p;
}

void ServiceControl::commit(Prepared p) {
  if (!p.changes) return;
  set_.commit(std::move(p.services), kDrain);
  udp_pending_ |= !same(p.udp, udp_);
  udp_ = std::move(p.udp);
  serve_udp();
}

std::vector<port::Event> ServiceControl::maintain() {
  set_.maintain();
  serve_udp();
  return watch_backends();
}

// Looked at rather than taken from the services' log, which a busy service fills, and of which every engine has one.
std::vector<port::Event> ServiceControl::watch_backends() {
  using Level = port::Event::Level;
  std::vector<port::Event> news;
  std::map<std::pair<uint16_t, size_t>, bool> now;
  for (const apps::ServiceView& v : set_.views())
    for (size_t i = 0; i < v.backends.size() && !v.draining; i++) {
      const auto& engines = v.backends[i];
      const bool up = std::any_of(engines.begin(), engines.end(), [](const auto* b) { return b->up.load(std::memory_order_relaxed); });
      const std::pair<uint16_t, size_t> key{v.number, i};
      const auto before = backend_up_.find(key);
      if (up != (before == backend_up_.end() || before->second))
        news.push_back({up ? Level::info : Level::warning,
                        "service " + v.config->name + ": backend " + to_string(v.config->proxy.backends[i]) +
                            (up ? " is up again" : " is down: it fails its health check")});
      now[key] = up;
    }
  backend_up_ = std::move(now);
  return news;
}

std::vector<std::string> ServiceControl::access_log() {
  std::vector<apps::LogRecord> records(apps::EventLog::kRecords);
  std::vector<std::string> out;
  for (unsigned n = set_.drain_log(records), i = 0; i < n; i++) {
    const apps::LogRecord& r = records[i];
    if (r.kind != apps::LogRecord::Kind::backend_up && r.kind != apps::LogRecord::Kind::backend_down)
      out.push_back(sentence(r, set_.name_of(r.service)));
  }
  if (const uint64_t s = set_.log_suppressed(); s != suppressed_) {
    out.push_back(std::to_string(s - suppressed_) + " more were not written: more than " +
                  std::to_string(apps::EventLog::kPerSecond) + " a second");
    suppressed_ = s;
  }
  return out;
}

// All UDP is the first engine's.
void ServiceControl::serve_udp() {
  if (udp_pending_ && box_.run_on_stack(0, [&](stack::HostStack& h, apps::Host&) { h.serve_udp(udp_); }))
    udp_pending_ = false;
}

}  // namespace sluice::control
