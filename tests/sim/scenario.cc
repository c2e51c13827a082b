#include "tests/sim/scenario.h"

#include <sstream>

namespace sluice::sim {

namespace {

LinkModel link(Random& r, bool hard) {
  LinkModel m;
  m.delay = Duration::nanos(static_cast<int64_t>(r.magnitude(50e3, 150e6)));
  if (r.chance(0.5)) m.jitter = Duration::nanos(static_cast<int64_t>(r.magnitude(1e4, 20e6)));
  if (r.chance(0.5)) m.loss = r.magnitude(0.001, hard ? 0.15 : 0.03);
  if (r.chance(0.2)) m.burst_start = r.magnitude(0.0005, 0.01), m.burst_length = r.real(2, 12);
  if (r.chance(0.2)) m.ack_loss = r.real(0.05, 0.3);
  if (r.chance(0.3)) m.duplicate = r.magnitude(0.001, 0.1);
  if (r.chance(0.2)) m.corrupt = r.magnitude(0.001, 0.02);
  if (r.chance(0.4))
    m.reorder = r.magnitude(0.001, 0.2),
    m.reorder_by = Duration::nanos(static_cast<int64_t>(r.magnitude(1e4, 60e6)));
  if (r.chance(0.6))
    m.bits_per_second = r.magnitude(3e5, 1e9), m.queue = static_cast<unsigned>(r.magnitude(4, 300));
  if (r.chance(0.3) && m.queue) m.mark_above = std::max(1u, m.queue / 3);
  if (r.chance(0.2)) m.forge = r.magnitude(0.005, 0.1);
  return m;
}

tcp::Config config(Random& r) {
  tcp::Config c;
  tcp::Tuning& t = c.tuning;
  t.congestion = r.chance(0.6) ? tcp::CongestionControl::cubic : tcp::CongestionControl::newreno;
  t.sack = r.chance(0.8);
  t.timestamps = r.chance(0.75);
  t.window_scaling = r.chance(0.8);
  t.ecn = r.chance(0.8);
  t.ecn_active = r.chance(0.4);
  t.nagle = r.chance(0.7);
  t.initial_window = static_cast<uint8_t>(r.of({1, 2, 4, 10, 10, 10}));
  t.delayed_ack = Duration::millis(r.of({1, 40, 40, 200, 400}));
  t.time_wait = Duration::seconds(r.of({240, 300}));  // shorter, and a lost last ACK ends in a reset
  t.receive_buffer = static_cast<uint32_t>(r.magnitude(4000, 1 << 20));
  t.send_buffer = static_cast<uint32_t>(r.magnitude(4000, 1 << 20));
  // An opener that has nothing to send never learns that all its ACKs of the SYN-ACK were lost.
  t.syn_retries = t.syn_ack_retries = 12;
  c.limits.connections = 4096;
  c.limits.chunks = 8192;
  c.limits.records = 16384;
  c.limits.out_of_order = static_cast<uint32_t>(r.of({8, 64, 128, 512}));
  if (r.chance(0.15)) c.limits.cookie_mark = 0;  // every SYN is answered with a cookie
  return c;
}

uint64_t amount(Random& r) {
  return r.chance(0.1) ? 0 : static_cast<uint64_t>(r.magnitude(1, 600e3));
}

void application(Random& r, Plan& p) {
  p.piece = static_cast<uint32_t>(r.magnitude(1, 40000));
  if (p.send / p.piece > 3000) p.piece = static_cast<uint32_t>(p.send / 3000);
  if (r.chance(0.15)) p.send_gap = Duration::nanos(static_cast<int64_t>(r.magnitude(1e5, 50e6)));
  p.bytes = r.of({Plan::Bytes::forever, Plan::Bytes::keeper, Plan::Bytes::mbuf});
  p.read = r.of({Plan::Read::at_once, Plan::Read::at_once, Plan::Read::slowly, Plan::Read::in_pauses});
  p.read_bytes = static_cast<uint32_t>(r.magnitude(500, 60000));
  p.read_every = Duration::nanos(static_cast<int64_t>(r.magnitude(1e6, 300e6)));
  p.keepalive = r.chance(0.1);
}

void request_response(Random& r, Pair& pair) {
  uint64_t request = static_cast<uint64_t>(r.magnitude(1, 3000)),
           response = static_cast<uint64_t>(r.magnitude(1, 30000));
  uint64_t turns = static_cast<uint64_t>(r.magnitude(1, 40));
  Plan &client = pair.plan[0], &server = pair.plan[1];
  client.send = server.receive = request * turns;
  client.receive = server.send = response * turns;
  client.first = client.reply = request;
  client.per = response;
  server.per = request;
  server.reply = response;
  client.piece = static_cast<uint32_t>(std::max<uint64_t>(request, 1));
}

void bulk(Random& r, Pair& pair) {
  pair.plan[0].send = pair.plan[1].receive = amount(r);
  pair.plan[1].send = pair.plan[0].receive = amount(r);
}

Pair pair(Random& r) {
  Pair p;
  bool talk = r.chance(0.35);
  if (talk)
    request_response(r, p);
  else
    bulk(r, p);
  for (Plan& plan : p.plan) {
    uint32_t piece = plan.piece;
    application(r, plan);
    if (talk) plan.piece = piece;
    plan.start = Duration::nanos(r.between(0, 500'000'000));
  }
  // Who ends first; both at once, with nobody waiting, too.
  switch (r.between(0, 5)) {
    case 0:
      break;
    case 1:
      p.plan[0].end = Plan::End::wait_for_peer;
      break;
    case 2:
      p.plan[1].end = Plan::End::wait_for_peer;
      break;
    case 3:
      p.plan[1].end = Plan::End::close;
      break;
    case 4:
      p.plan[0].end = Plan::End::close;
      break;
    default:
      if (r.chance(0.5)) break;
      unsigned who = static_cast<unsigned>(r.between(0, 1));
      p.plan[who].end = Plan::End::abort;
      p.plan[who].abort_at = static_cast<uint64_t>(r.real(0, static_cast<double>(p.plan[who].receive)));
      p.plan[who].may_fail = p.plan[1 - who].may_fail = true;
      p.plan[1 - who].keepalive = true;  // a reset that is lost is noticed in the end
  }
  if (r.chance(0.08)) {
    p.both_open = true;
    p.plan[1].start = p.plan[0].start;
  }
  return p;
}

}  // namespace

Scene scenario(uint64_t seed) {
  Random r(seed);
  Scene s;
  s.seed = seed;
  bool hard = r.chance(0.3);
  s.link[0] = link(r, hard);
  s.link[1] = r.chance(0.3) ? link(r, hard) : s.link[0];
  s.config[0] = config(r);
  s.config[1] = r.chance(0.5) ? config(r) : s.config[0];
  for (tcp::Config& c : s.config) {
    c.tuning.keepalive_idle = Duration::seconds(30);
    c.tuning.keepalive_interval = Duration::seconds(10);
    c.tuning.keepalive_probes = 9;
  }
  s.ipv6 = r.chance(0.3);
  s.mtu = static_cast<uint16_t>(r.of({1500, 1500, 1500, 1280, 2000}));
  if (r.chance(0.15))
    for (LinkModel& l : s.link) {
      l.mtu = static_cast<uint32_t>(r.between(s.ipv6 ? 1280 : 700, s.mtu));
      l.icmp = r.chance(0.6);
      if (!l.icmp) l.mtu = std::max(l.mtu, s.ipv6 ? 1280u : 1100u);  // what the search falls back to must fit
    }
  unsigned pairs =
      r.chance(0.1) ? static_cast<unsigned>(r.between(5, 40)) : static_cast<unsigned>(r.between(1, 3));
  for (unsigned i = 0; i < pairs; i++) {
    s.pairs.push_back(pair(r));
    if (pairs > 3)
      for (Plan& p : s.pairs.back().plan) p.send /= 20, p.receive /= 20, p.abort_at /= 20;
  }
  if (pairs > 3)  // shares of requests would not come out even
    for (Pair& p : s.pairs)
      for (Plan& plan : p.plan) plan.per = plan.first = plan.reply = 0;
  // A cookie has no memory: the opener's first segments, late, would open again what has ended, and a forged one that has
  // the right acknowledgment is answered with a reset that the opener believes.
  if (s.config[1].limits.cookie_mark == 0) s.link[0].duplicate = s.link[0].reorder = s.link[0].forge = 0;
  // Nor is its SYN-ACK repeated: an opener that has nothing to say could wait for ever (RFC 4987 3.6).
  if (s.config[1].limits.cookie_mark == 0)
    for (Pair& p : s.pairs)
      if (p.plan[0].send == 0) p.plan[0].send = p.plan[1].receive = 1;
  for (const Pair& p : s.pairs)
    for (const Plan& plan : p.plan)
      if (plan.end == Plan::End::abort) s.config[1].limits.cookie_mark = 1024;
  if (r.chance(0.1)) s.refuse = r.magnitude(0.0005, 0.02);
  if (r.chance(0.1)) {
    s.buffers = static_cast<uint32_t>(r.magnitude(40, 400));
    // Both ends' send queues in mbufs could use all of them up: an application's mistake, not looked for
    // here.
    for (Pair& p : s.pairs)
      for (Plan& plan : p.plan)
        if (plan.bytes == Plan::Bytes::mbuf) plan.bytes = Plan::Bytes::keeper;
  }
  s.check_all = pairs <= 3;
  return s;
}

std::string describe(const Scene& s) {
  std::ostringstream o;
  o << "seed " << s.seed << (s.ipv6 ? ", IPv6" : ", IPv4") << ", mtu " << s.mtu << ", " << s.pairs.size()
    << " connections, " << s.buffers << " buffers, refused " << s.refuse << "\n";
  for (unsigned i = 0; i < 2; i++) {
    const LinkModel& l = s.link[i];
    const tcp::Tuning& t = s.config[i].tuning;
    o << "  " << (i ? "B>A" : "A>B") << ": delay " << static_cast<double>(l.delay.ns) / 1e6 << " ms, jitter "
      << static_cast<double>(l.jitter.ns) / 1e6 << " ms, loss " << l.loss << ", bursts " << l.burst_start
      << "·" << l.burst_length << ", ACK loss " << l.ack_loss << ", duplicates " << l.duplicate
      << ", reordering " << l.reorder << " by " << static_cast<double>(l.reorder_by.ns) / 1e6 << " ms, "
      << l.bits_per_second / 1e6 << " Mbit/s, queue " << l.queue << ", marks above " << l.mark_above
      << ", mtu " << l.mtu << (l.icmp ? "" : " (black hole)") << ", forged " << l.forge << "\n";
    o << "  "
      << "AB"[i] << ": " << (t.congestion == tcp::CongestionControl::cubic ? "cubic" : "newreno")
      << (t.sack ? ", sack" : "") << (t.timestamps ? ", timestamps" : "")
      << (t.window_scaling ? ", scaling" : "") << (t.ecn ? ", ecn" : "") << (t.ecn_active ? " active" : "")
      << ", iw " << int{t.initial_window} << ", delayed ack " << t.delayed_ack.ms() << " ms, buffers "
      << t.receive_buffer << "/" << t.send_buffer << ", out of order " << s.config[i].limits.out_of_order
      << (s.config[i].limits.cookie_mark ? "" : ", cookies") << "\n";
  }
  for (size_t i = 0; i < s.pairs.size() && i < 3; i++)
    for (unsigned k = 0; k < 2; k++) {
      const Plan& p = s.pairs[i].plan[k];
      static constexpr const char* kEnd[] = {"shuts down", "waits for the peer", "closes", "aborts"};
      static constexpr const char* kRead[] = {"at once", "slowly", "in pauses"};
      o << "  "
        << "AB"[k] << i << ": sends " << p.send << " in pieces of " << p.piece
        << (p.per || p.first ? " (turns)" : "") << ", reads " << kRead[static_cast<unsigned>(p.read)] << " ("
        << p.read_bytes << " each " << p.read_every.ms() << " ms), " << kEnd[static_cast<unsigned>(p.end)]
        << (s.pairs[i].both_open ? ", both open" : "") << "\n";
    }
  return o.str();
}

}  // namespace sluice::sim
