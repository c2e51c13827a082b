#include "tests/sim/link.h"

namespace sluice::sim {

using tcp::Seq;

bool Link::lost(Instant now, const Packet& p) {
  if (burst_left_ && now < burst_until_) return burst_left_--, true;
  if (random_.chance(m_.burst_start)) {
    burst_until_ = now + Duration::millis(300);
    burst_left_ = static_cast<unsigned>(random_.real(0, 2 * m_.burst_length));
    return true;
  }
  return random_.chance(m_.loss) || random_.chance(m_.corrupt) ||
         (p.length() == 0 && random_.chance(m_.ack_loss));
}

// When it has left the bottleneck; nothing: the queue was full.
std::optional<Instant> Link::through_bottleneck(Instant now, Packet& p) {
  if (m_.bits_per_second <= 0) return now;
  double bits = p.ip_bytes() * 8.0;
  Duration serialised = Duration::nanos(static_cast<int64_t>(bits * 1e9 / m_.bits_per_second));
  Instant start = std::max(now, free_at_);
  int64_t full = static_cast<int64_t>(1500 * 8 * 1e9 / m_.bits_per_second);
  int64_t waiting = (start - now).ns / std::max<int64_t>(full, 1);  // in packets of full size
  if (m_.queue && waiting >= m_.queue) return std::nullopt;
  if (m_.mark_above && waiting >= m_.mark_above && p.ecn != tcp::Ecn::not_ect) p.ecn = tcp::Ecn::ce;
  free_at_ = start + serialised;
  return free_at_;
}

// What a blind attacker or a broken box could send: must not hurt the connection (RFC 5961, RFC 9293 3.10.7).
Packet Link::forged(const Packet& p) {
  Packet f = p;
  uint32_t far = static_cast<uint32_t>(random_.between(1 << 24, 1 << 30));
  auto only = [&f](uint8_t flags) {
    f.flags = flags;
    f.payload.clear();
  };
  switch (random_.between(0, 8)) {
    case 0:
      only(wire::kTcpRst), f.seq = p.seq + far;
      break;  // a reset outside the window
    case 1:
      only(wire::kTcpSyn), f.seq = p.seq + far, f.ack = {};
      break;
    case 2:
      f.ack = p.ack + far;
      break;  // of what was never sent
    case 3:
      f.seq = p.seq - far;
      break;  // old data
    case 4:
      only(wire::kTcpRst | wire::kTcpAck), f.seq = p.seq + 7 + 0x40000000;
      break;
    case 5:
      only(p.flags & static_cast<uint8_t>(~wire::kTcpFin)), f.seq = p.seq - 1, f.flags = wire::kTcpAck;
      break;  // keepalive
    case 6:   // SACK of what cannot be
      f.payload.clear();
      f.flags = wire::kTcpAck;
      f.options.sack_blocks = 2;
      f.options.sack[0] = {p.ack.v + far, p.ack.v + far + 1000};
      f.options.sack[1] = {p.ack.v + 2000, p.ack.v + 1000};
      break;
    case 7:  // SACK of what may be in flight and has not come: reneging (RFC 2018 8)
      only(wire::kTcpAck);
      f.options.sack_blocks = 1;
      f.options.sack[0] = {p.ack.v + 100, p.ack.v + 3000};
      break;
    default:
      only(0);
      break;  // no flags at all
  }
  return f;
}

Link::Sent Link::send(Instant now, const Packet& original) {
  Sent s;
  if (original.ip_bytes() > m_.mtu) {
    s.too_big = m_.icmp;
    s.fate = m_.icmp ? "too big, told" : "too big, black hole";
    return s;
  }
  Packet p = original;
  if (lost(now, p)) return s.fate = "lost", s;
  auto out = through_bottleneck(now, p);
  if (!out) return s.fate = "queue full", s;
  Instant at = *out + m_.delay + Duration::nanos(m_.jitter.ns ? random_.between(0, m_.jitter.ns) : 0);
  if (random_.chance(m_.reorder)) {
    at = at + Duration::nanos(random_.between(1, std::max<int64_t>(m_.reorder_by.ns, 1)));
    s.fate = "held back";
  } else {
    at = last_arrival_ = std::max(at, last_arrival_);
  }
  // Forged packets need a connection to be aimed at: not the handshake.
  if (!p.has(wire::kTcpSyn | wire::kTcpRst) && random_.chance(m_.forge))
    s.arrivals.push_back({at, forged(p), true});
  s.arrivals.push_back({at, p});
  if (random_.chance(m_.duplicate)) {
    s.arrivals.push_back({at + Duration::micros(random_.between(1, 20000)), p});
    s.fate = "doubled";
  }
  return s;
}

}  // namespace sluice::sim
