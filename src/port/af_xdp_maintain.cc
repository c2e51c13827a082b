// The control thread's side of a running AF_XDP port: statistics, and the upkeep of maintain().
#include <algorithm>
#include <utility>

#include "port/af_xdp.h"
#include "port/af_xdp_port.h"
#include "port/early_drop.h"

namespace sluice::port {

namespace {

void operator+=(NetdevStats& a, const NetdevStats& b) {
  a.rx_packets += b.rx_packets, a.tx_packets += b.tx_packets;
  a.rx_dropped += b.rx_dropped, a.rx_missed += b.rx_missed, a.rx_errors += b.rx_errors;
  a.tx_dropped += b.tx_dropped, a.tx_errors += b.tx_errors;
}

// A driver that resets its counters must not make ours wrap.
uint64_t since(uint64_t now, uint64_t then) {
  return now >= then ? now - then : now;
}
NetdevStats since(const NetdevStats& a, const NetdevStats& b) {
  return {since(a.rx_packets, b.rx_packets), since(a.tx_packets, b.tx_packets),
          since(a.rx_dropped, b.rx_dropped), since(a.rx_missed, b.rx_missed),
          since(a.rx_errors, b.rx_errors),   since(a.tx_dropped, b.tx_dropped),
          since(a.tx_errors, b.tx_errors)};
}

}  // namespace

// ---- statistics

AfXdpPort::KernelCounts AfXdpPort::kernel_counts() const {
  KernelCounts sum = retired_;
  bool bound = false;
  for (const auto& q : queues_) {
    if (!q->socket().is_open()) continue;
    bound = true;
    const xdp_statistics x = q->socket().statistics();
    sum.dropped += x.rx_dropped;
    sum.ring_full += x.rx_ring_full;
    sum.fill_empty += x.rx_fill_ring_empty_descs;
    sum.rx_invalid += x.rx_invalid_descs;
    sum.tx_invalid += x.tx_invalid_descs;
  }
  if (!bound) return sum;
  if (const auto d = control_.link(o_.device); d && d->ifindex == ifindex_) device_seen_ = d->stats;
  sum.device += since(device_seen_, base_);
  return sum;
}

uint64_t AfXdpPort::given() const {
  uint64_t n = 0;
  for (const auto& q : queues_) n += q->counters().rx_packets.get();
  return n;
}

// While sockets are bound they say what they had no room for. When they are gone, whatever was redirected and not given was
// missed: it lay in a ring that was closed, or was on its way there.
uint64_t AfXdpPort::missed_in_sockets(uint64_t redirected, const KernelCounts& k) const {
  if (state_ != State::running) return redirected - given();
  return missed_before_ + (k.dropped - retired_.dropped) + (k.ring_full - retired_.ring_full);
}

// The law of port.h. A frame that the kernel and the box both have counts as handed up if its copy was.
void AfXdpPort::add_early(Stats& s, const XdpProgram::Counts& c, const KernelCounts& k) const {
  s.early = true;
  for (unsigned i = 0; i < SLUICE_COUNTS; i++) {
    const auto outcome = static_cast<sluice_outcome>(i / SLUICE_CLASSES);
    const auto cls = static_cast<sluice_class>(i % SLUICE_CLASSES);
    s.early_seen += c[i];
    if (c[i] > 0) s.early_counts.push_back({outcome, cls, c[i]});
  }
  for (unsigned o = SLUICE_DROP_malformed; o < SLUICE_OUTCOMES; o++) {
    const auto outcome = static_cast<sluice_outcome>(o);
    const uint64_t n = XdpProgram::of(c, outcome);
    s.early_dropped += n;
    if (n > 0) s.rejected.emplace_back(reason_of(outcome), n);
  }
  const uint64_t redirected = XdpProgram::of(c, SLUICE_OUT_REDIRECTED);
  const uint64_t copies_missed = mirror_.no_mbuf() + mirror_.dropped();
  s.answered = XdpProgram::of(c, SLUICE_OUT_ANSWERED);
  s.handed_up = redirected + mirror_.received() + copies_missed;
  s.missed_in_socket = missed_in_sockets(redirected, k) + copies_missed;
  s.kernel_passed = s.early_seen - s.early_dropped - s.answered - s.handed_up;
}

Stats AfXdpPort::stats() const {
  const auto x = program_->counts();
  const KernelCounts k = kernel_counts();
  Stats s;
  s.link_up = link_up();
  s.link_changes = link_changes_;
  add_early(s, x, k);
  // Most drivers count what a socket refused as the device's drops, too: the larger holds both.
  s.missed = std::max(k.dropped + k.ring_full, k.device.rx_dropped) + k.device.rx_missed;
  s.errors = k.rx_invalid + k.device.rx_errors;
  s.no_mbuf = mirror_.no_mbuf();
  s.tx_errors = k.tx_invalid + k.device.tx_dropped + k.device.tx_errors;
  uint64_t copied = 0, kicks = 0, bad = 0;
  for (const auto& q : queues_) {
    const auto& c = q->counters();
    s.held += q->held();
    s.no_mbuf += c.no_mbuf.get();
    s.tx_errors += c.tx_refused.get();
    copied += c.copied.get();
    kicks += c.kicks.get();
    bad += c.bad_address.get();
  }
  s.extended = {{"xdp_redirected", XdpProgram::of(x, SLUICE_OUT_REDIRECTED)},
                {"xdp_kernel", XdpProgram::of(x, SLUICE_OUT_KERNEL)},
                {"xdp_shared", XdpProgram::of(x, SLUICE_OUT_SHARED)},
                {"xdp_unbound", XdpProgram::of(x, SLUICE_OUT_UNBOUND)},
                {"xsk_rx_dropped", k.dropped},
                {"xsk_rx_ring_full", k.ring_full},
                {"xsk_fill_ring_empty", k.fill_empty},
                {"xsk_bad_address", bad},
                {"netdev_rx_dropped", k.device.rx_dropped},
                {"netdev_tx_dropped", k.device.tx_dropped},
                {"mirror_received", mirror_.received()},
                {"mirror_dropped", mirror_.dropped()},
                {"tx_copied", copied},
                {"tx_kicks", kicks}};
  return s;
}

// ---- upkeep

void AfXdpPort::say(std::vector<Event>& events, Event::Level level, const std::string& text) const {
  events.push_back({level, "port " + o_.name + ": " + text});
}

std::vector<Event> AfXdpPort::maintain(const std::function<void()>& quiesce) {
  std::vector<Event> events;
  for (const Event& note : std::exchange(notes_, {})) say(events, note.level, note.text);
  if (state_ == State::bound) return events;
  const auto d = control_.link(o_.device);
  if (state_ == State::running && (!d || d->ifindex != ifindex_)) lose(quiesce, events);
  if (state_ == State::absent) {
    if (d) regain(events);
    return events;
  }
  follow_link(*d, events);
  follow_settings(*d, events);
  if (o_.busy_poll) follow_busy_polling(events);
  const XdpProgram::Counts counts = program_->counts();
  follow_answers(counts, events);
  if (moderation_->follow(XdpProgram::of(counts, SLUICE_DROP_overload)))
    say(events, Event::Level::info,
        moderation_->on() ? "overload: its interrupts are moderated" : "no overload: its interrupts are as they were");
  if (program_->has_rules()) program_->set_kernel_addresses(control_.addresses());
  return events;
}

void AfXdpPort::lose(const std::function<void()>& quiesce, std::vector<Event>& events) {
  link_up_ = false;
  for (const auto& q : queues_) q->set_up(false);
  quiesce();
  deactivate();
  state_ = State::absent;
  last_failure_.clear();
  link_changes_++;
  say(events, Event::Level::warning,
      o_.device + " is gone: what is to leave through it is dropped until it is back");
}

void AfXdpPort::regain(std::vector<Event>& events) {
  // Also the device's settings are new: whatever open() would refuse is refused here, but the port waits.
  const auto d = control_.find(o_.device);
  if (!d) return;
  Status s = examine(*d);
  if (s) s = bind(*d);
  if (s) s = activate();
  if (s) {
    link_changes_++;
    say(events, Event::Level::info,
        o_.device + " is back (" + info_.mode + ", " + to_string(info_.mac) + ")");
    return;
  }
  deactivate();
  if (s.error() != last_failure_)
    say(events, Event::Level::warning, o_.device + " is back, but: " + s.error());
  last_failure_ = s.error();
}

void AfXdpPort::follow_link(const Netdev& d, std::vector<Event>& events) {
  const bool was = link_up(), is = d.running();
  const uint32_t changes = d.carrier_changes - carrier_changes_seen_;
  carrier_changes_seen_ = d.carrier_changes;
  if (was != is) {
    link_up_ = is;
    link_changes_++;
    say(events, is ? Event::Level::info : Event::Level::warning,
        o_.device + (is     ? ": link up"
                     : d.up ? ": link down (no carrier)"
                            : ": link down (ip link set " + o_.device + " up)"));
  } else if (changes > 1) {
    link_changes_ += changes;
    say(events, Event::Level::warning, o_.device + ": the link flapped");
  }
}

void AfXdpPort::follow_settings(const Netdev& d, std::vector<Event>& events) {
  if (d.mtu != mtu_seen_) {
    const bool fits = d.mtu <= kXdpMaxMtu;
    say(events, fits ? Event::Level::info : Event::Level::warning,
        "the MTU of " + o_.device + " went from " + std::to_string(mtu_seen_) + " to " +
            std::to_string(d.mtu) +
            (fits ? "; the port keeps " + std::to_string(info_.mtu) + " until it is opened again"
                  : ", and frames above " + std::to_string(kXdpMaxFrame) + " bytes are lost"));
    mtu_seen_ = d.mtu;
  }
  if (d.mac != info_.mac) {
    say(events, Event::Level::warning,
        "the MAC address of " + o_.device + " went from " + to_string(info_.mac) + " to " + to_string(d.mac) +
            ": restart, or neighbours will not find the box");
    info_.mac = d.mac;
  }
}

// The kernel polls a device on a socket's behalf if frames carry the NAPI instance that brought them.
void AfXdpPort::follow_busy_polling(std::vector<Event>& events) {
  if (busy_polling_said_) return;
  for (const auto& q : queues_) {
    if (q->counters().rx_packets.get() == 0) continue;
    const bool effective = q->socket().napi_id() != 0;
    q->set_busy_polling(effective);
    if (busy_polling_said_) continue;
    busy_polling_said_ = true;
    say(events, effective ? Event::Level::info : Event::Level::warning,
        effective ? "busy polling is effective on " + o_.device
                  : "busy polling has no effect on " + o_.device + ": its driver gives frames no NAPI id");
  }
}

AfXdpPort::Answers AfXdpPort::answers(const XdpProgram::Counts& c) const {
  Answers a;
  a.made = XdpProgram::of(c, SLUICE_OUT_ANSWERED);
  // Drivers have names of their own: rx_queue_0_xdp_tx_errors (veth), rx_xdp_tx_full (mlx5), rx_queue_0_xdp_tx_drops …
  for (const auto& [name, n] : control_.counters(o_.device)) {
    if (name.find("xdp_tx") == std::string::npos) continue;
    const bool failed = name.find("err") != std::string::npos || name.find("drop") != std::string::npos ||
                        name.find("full") != std::string::npos;
    (failed ? a.failed : a.sent) += n;
  }
  return a;
}

// An answer leaves by XDP_TX, which not every device can: a veth whose other end has no XDP program throws them away, or leaves
// them in a ring that nobody empties (GRO alone), and says so in a counter alone. Then the stack answers; from time to time it is
// tried again.
void AfXdpPort::follow_answers(const XdpProgram::Counts& c, std::vector<Event>& events) {
  constexpr uint64_t kEnough = 16;
  constexpr unsigned kAgain = 300;  // calls, a minute or so
  if (answers_off_ > 0) {
    if (--answers_off_ > 0) return;
    program_->answer_syns(true);
    answers_seen_ = answers(c);
    return;
  }
  if (XdpProgram::of(c, SLUICE_OUT_ANSWERED) < answers_seen_.made + kEnough) return;
  const Answers before = std::exchange(answers_seen_, answers(c));
  if (answers_seen_.sent != before.sent || answers_seen_.failed < before.failed + kEnough) {
    answers_said_ = false;
    return;
  }
  program_->answer_syns(false);
  answers_off_ = kAgain;
  if (std::exchange(answers_said_, true)) return;
  const auto d = control_.link(o_.device);
  say(events, Event::Level::warning,
      o_.device + " sends none of the SYN cookies that early drop answers with, so the TCP stack answers instead, at more cost" +
          (d && d->kind == "veth" ? ": a veth's other end takes them if an XDP program is attached to it, be it one that passes all"
                                  : ": its driver does not do XDP_TX"));
}

}  // namespace sluice::port
