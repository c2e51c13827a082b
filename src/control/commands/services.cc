#include "control/access_log.h"
#include "control/commands.h"

namespace sluice::control {

namespace {

template <class Of>
uint64_t sum(const std::vector<const Of*>& engines, Counter Of::*counter) {
  uint64_t n = 0;
  for (const Of* e : engines) n += (e->*counter).get();
  return n;
}

json backend(const app::Endpoint& at, const std::vector<const apps::BackendCounters*>& engines, Instant now) {
  using B = apps::BackendCounters;
  bool up = false;
  int64_t changed = 0;
  for (const B* b : engines) {
    up |= b->up.load(std::memory_order_relaxed);
    changed = std::max(changed, b->changed.load(std::memory_order_relaxed));
  }
  const uint64_t total = sum(engines, &B::connections);
  return {{"address", to_string(at)},
          {"up", up},
          {"since_seconds", changed ? json(static_cast<double>(now.ns - changed) / 1e9) : json(nullptr)},
          {"connections", total - sum(engines, &B::ended)},
          {"total", total},
          {"failures", sum(engines, &B::failures)},
          {"checks", sum(engines, &B::checks)},
          {"checks_failed", sum(engines, &B::checks_failed)},
          {"bytes_in", sum(engines, &B::bytes_in)},
          {"bytes_out", sum(engines, &B::bytes_out)}};
}

json service(const apps::ServiceView& v, Instant now) {
  using S = apps::ServiceCounters;
  const auto& e = v.engines;
  json listen = json::array(), responses = json::object(), backends = json::array();
  for (const app::Endpoint& at : v.config->listen) listen.push_back(to_string(at));
  for (unsigned digit = 1; digit < std::size(S{}.responses); digit++) {
    uint64_t n = 0;
    for (const S* s : e) n += s->responses[digit].get();
    responses[std::to_string(digit) + "xx"] = n;
  }
  for (size_t i = 0; i < v.backends.size(); i++)
    backends.push_back(backend(v.config->proxy.backends[i], v.backends[i], now));
  json j = {{"name", v.config->name},
            {"kind", apps::to_string(v.config->kind)},
            {"draining", v.draining},
            {"listen", listen},
            {"connections", sum(e, &S::accepted) - sum(e, &S::ended)},
            {"accepted", sum(e, &S::accepted)},
            {"refused", sum(e, &S::refused)},
            {"bytes_in", sum(e, &S::bytes_in)},
            {"bytes_out", sum(e, &S::bytes_out)},
            {"failures", sum(e, &S::failures)},
            {"timeouts", sum(e, &S::timeouts)},
            {"overloads", sum(e, &S::overloads)},
            {"listen_failures", sum(e, &S::listen_failures)},
            {"backends", backends}};
  if (v.config->kind == apps::ServiceKind::http) {
    j["requests"] = sum(e, &S::requests);
    j["responses"] = responses;
    j["bad_requests"] = sum(e, &S::bad_requests);
  }
  if (v.config->kind == apps::ServiceKind::proxy) j["unserved"] = sum(e, &S::unserved);
  return j;
}

}  // namespace

json run_services(Context& c, Params& p) {
  p.finish();
  json list = json::array();
  const Instant now = c.box.now();
  for (const apps::ServiceView& v : c.services.set().views()) list.push_back(service(v, now));
  return list;
}

}  // namespace sluice::control
