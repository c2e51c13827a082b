// Early drop, as the control side has it: policy, levels by hand, upkeep, views.
#include <algorithm>

#include "engine/box_impl.h"

namespace sluice::engine {

namespace {

constexpr Duration kOfferEvery = Duration::seconds(1);
constexpr size_t kMostInHardware = 1024;  // more than the flow tables of most NICs

}  // namespace

shed::Shed& Box::shed() { return *impl_->shed; }

Status Box::set_shed_policy(const shed::Policy& p) {
  Impl& b = *impl_;
  unsigned queues = 1;
  for (const auto& port : b.ports) queues = std::max(queues, port->info().rx_queues);
  if (Status s = b.shed->set_policy(p, queues); !s) return s;
  for (auto& w : b.workers) w->govern(p.governor);
  b.wake_all();
  return {};
}

bool Box::hold_level(std::optional<uint16_t> port, std::optional<uint32_t> level) {
  Impl& b = *impl_;
  if (port && *port >= b.ports.size()) return false;
  const int32_t held = level ? static_cast<int32_t>(std::min<uint32_t>(*level, SLUICE_LEVEL_MAX)) : -1;
  for (auto& w : b.workers)
    for (Intake& q : w->intakes())
      if (!port || q.port() == *port) q.hold(held);
  b.wake_all();
  return true;
}

std::vector<ShedQueueView> Box::shed_queues() const {
  std::vector<ShedQueueView> all;
  for (unsigned w = 0; w < impl_->workers.size(); ++w)
    for (const Intake& q : impl_->workers[w]->intakes()) {
      const Intake::View v = q.view();
      ShedQueueView& to = all.emplace_back();
      to = {.port = q.port(), .queue = q.queue(), .worker = w, .native = v.native, .level = v.level, .held = v.held,
            .waiting = v.waiting, .buffers = v.buffers, .handoff = v.handoff, .counts = {}};
      for (unsigned o = 0; o < SLUICE_OUTCOMES; ++o)
        for (unsigned c = 0; c < SLUICE_CLASSES; ++c) {
          const auto outcome = static_cast<sluice_outcome>(o);
          const auto cls = static_cast<sluice_class>(c);
          if (const uint64_t n = q.count(outcome, cls)) to.counts.push_back({outcome, cls, n});
        }
    }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.port != b.port ? a.port < b.port : a.queue < b.queue;
  });
  return all;
}

uint64_t Box::false_hints() const {
  uint64_t n = 0;
  for (const auto& w : impl_->workers) n += w->false_hints();
  return n;
}

// The list is compared, at most once a second, and only where there is a NIC to be told.
void Box::Impl::upkeep_shed() {
  const Instant t = now();
  shed->maintain(t, Clock::kernel_now());
  const bool any = std::any_of(ports.begin(), ports.end(), [](const auto& p) { return p->info().driver == "dpdk"; });
  if (!any || state != State::running) return;
  if (hardware.offered != Instant::never() && t - hardware.offered < kOfferEvery) return;
  hardware.offered = t;
  std::vector<Prefix> blocked = shed->lists().blocked(kMostInHardware);
  if (blocked == hardware.blocked) return;
  hardware.blocked = std::move(blocked);
  for (auto& p : ports) p->drop_in_hardware(hardware.blocked);
}

}  // namespace sluice::engine
