// The path's MTU, and the payload of a full segment that follows from it.
//
// Theory of operation. An ICMP message that quotes something in flight lowers the MTU: at once while no segment of the
// present size was ever acknowledged; else only after a timeout, since a message that is true will be followed by one,
// and a forged one will not (RFC 5927 7.2). Where no message comes, timeouts of full segments lower it to a floor that
// passes nearly everywhere (RFC 4821). Later, larger segments are tried: all at once after an ICMP message has aged, by
// halving the interval after a black hole.
#include "tcp/scoreboard.h"

namespace sluice::tcp {

namespace {

constexpr Duration kAge = Duration::seconds(600);   // RFC 1191 6.3
constexpr uint16_t kFloor4 = 552, kFloor6 = 1280;   // IPv4: below this, fragments do less harm than what an attacker could ask for
constexpr uint16_t kSearchDone = 32;                // bytes that are not worth another probe
// RFC 1191 7.1, for routers that do not tell.
constexpr uint16_t kPlateau[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};

uint16_t floor_of(const Tcb& c) { return c.tuple.local.family == 6 ? kFloor6 : kFloor4; }

uint16_t next_plateau(uint16_t mtu) {
  for (uint16_t p : kPlateau)
    if (p < mtu) return p;
  return kFloor4;
}

void set_path_mtu(Tcb& c, uint16_t mtu) {
  c.tx.path_mtu = mtu;
  compute_mss(c);
  c.cc.set_mss(c.tx.mss);
}

// What is marked lost is sent again, and congestion control is not told (RFC 1191 6.5, RFC 4821 7.6).
void resend_without_blame(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (!resend_waits(c) || tx.phase == Phase::recovery || tx.phase == Phase::loss) return;
  tx.phase = Phase::loss;
  tx.frto = 0;
  tx.undo_possible = false;
  tx.recover_at = c.snd_nxt;
  tx.recover_set = true;
  resend_head(core, c);
  core.mark(c);
}

void mark_too_large(Core& core, Tcb& c) {
  for (uint32_t i = c.tx.record_head; i != kNone; i = core.records.at(i).next) {
    const Record& r = core.records.at(i);
    if (!r.is(Record::kSacked) && r.length() > c.tx.mss) mark_lost(core, c, i);
  }
}

// The largest MTU that makes sense to try.
uint16_t ceiling(const Tcb& c) {
  return static_cast<uint16_t>(std::min<uint32_t>(c.mtu, uint32_t{c.snd_mss} + ip_tcp_headers(c)));
}

// The search goes on with sizes up to `high`, or is over until it may be that the path has changed.
void narrow_search(Core& core, Tcb& c, uint32_t high) {
  Sending& tx = c.tx;
  tx.probe_mtu = 0;
  if (high >= uint32_t{tx.path_mtu} + kSearchDone) {
    tx.search_high = static_cast<uint16_t>(high);
    return;
  }
  tx.search_high = 0;
  tx.mtu_again = tx.path_mtu + kSearchDone <= ceiling(c) ? core.now + kAge : Instant::never();
}

void lower(Core& core, Tcb& c, uint16_t mtu) {
  if (mtu < floor_of(c)) c.tx.may_fragment = c.tuple.local.family == 4;
  set_path_mtu(c, std::max(mtu, floor_of(c)));
  c.tx.acked_mtu = std::min(c.tx.acked_mtu, c.tx.path_mtu);
  c.tx.mtu_held = false;
  c.tx.probe_mtu = c.tx.search_high = 0;
  c.tx.mtu_again = core.now + kAge;
}

}  // namespace

void compute_mss(Tcb& c) {
  const unsigned headers = ip_tcp_headers(c);
  const unsigned by_path = c.tx.path_mtu > headers + kMinMss ? c.tx.path_mtu - headers : kMinMss;
  const unsigned by_peer = std::max<unsigned>(c.snd_mss, kMinMss);
  const unsigned options = c.ts_ok ? 12 : 0;
  c.tx.mss = static_cast<uint16_t>(std::clamp(std::min(by_path, by_peer) - options, kMinMss - 12u, kMaxBurst));
}

void start_path_mtu(Tcb& c) {
  c.tx.path_mtu = c.mtu;
  compute_mss(c);
}

void path_mtu(Core& core, Tcb& c, const IcmpError& e) {
  Sending& tx = c.tx;
  if (!quotes_in_flight(c, e.seq)) {
    core.count.mtu_icmp_ignored++;
    return;
  }
  if (tx.probe_mtu && e.mtu >= tx.path_mtu && e.mtu < tx.probe_mtu) {
    tx.search_high = static_cast<uint16_t>(e.mtu);  // about the probe, whose loss is found like any other
    return;
  }
  const uint32_t told = e.mtu ? e.mtu : next_plateau(tx.path_mtu);
  if (told >= tx.path_mtu || (c.tuple.local.family == 4 && told < 68)) {
    core.count.mtu_icmp_ignored++;
    return;
  }
  const auto mtu = static_cast<uint16_t>(told);
  if (mtu < tx.acked_mtu && !tx.backoff) {
    tx.mtu_held = true;
    tx.held_mtu = mtu;
    tx.held_seq = e.seq;
    return;
  }
  core.count.mtu_reduced++;
  lower(core, c, mtu);
  if (!tx.started) return;
  mark_too_large(core, c);
  resend_without_blame(core, c);
}

void path_mtu_acked(Core& core, Tcb& c, const AckNews& n) {
  Sending& tx = c.tx;
  if (tx.mtu_held && tx.held_seq < c.snd_una) tx.mtu_held = false;
  if (n.acked >= tx.mss && !n.resent_acked) tx.acked_mtu = std::max(tx.acked_mtu, tx.path_mtu);
  if (tx.probe_mtu && tx.probe_end <= c.snd_una) {
    core.count.mtu_raised++;
    set_path_mtu(c, tx.probe_mtu);
    tx.acked_mtu = tx.probe_mtu;
    narrow_search(core, c, tx.search_high);
  }
}

bool path_mtu_probe_lost(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  const uint32_t i = first_to_resend(core, c);
  if (i == kNone || !core.records.at(i).is(Record::kMtuProbe)) return false;
  const bool alone = tx.lost == core.records.at(i).length();
  narrow_search(core, c, std::min<uint32_t>(tx.search_high, tx.probe_mtu - 1u));
  if (alone) resend_without_blame(core, c);
  return alone;
}

void path_mtu_timeout(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (tx.mtu_held) {
    core.count.mtu_reduced++;
    lower(core, c, tx.held_mtu);
    return;
  }
  const Record& head = core.records.at(tx.record_head);
  if (tx.probe_mtu) return narrow_search(core, c, head.is(Record::kMtuProbe) ? tx.probe_mtu - 1u : tx.search_high);
  // Where such segments passed before, or this one is not full, it is rather the path that is down.
  const unsigned patience = tx.acked_mtu >= tx.path_mtu || head.length() < tx.mss ? 6 : 3;
  const uint16_t floor = c.tuple.local.family == 6 ? kFloor6 : core.config.tuning.mtu_probe_floor;
  // The last segment of all may be too large without being full.
  const uint32_t suspect = std::min<uint32_t>(tx.mss, floor - ip_tcp_headers(c) - (c.ts_ok ? 12u : 0u) + 1u);
  if (tx.backoff < patience || head.length() < suspect) return;
  if (tx.path_mtu > floor) {
    core.count.mtu_blackholes++;
    lower(core, c, floor);
  } else {
    tx.may_fragment = c.tuple.local.family == 4;
  }
}

void probe_path_mtu(Core& core, Tcb& c) {
  Sending& tx = c.tx;
  if (!tx.search_high) {
    tx.mtu_again = Instant::never();
    tx.may_fragment = false;
    narrow_search(core, c, ceiling(c));
  }
  if (!tx.search_high || tx.probe_mtu || tx.phase != Phase::open || tx.sacked || tx.duplicates) return;
  // The whole range first: mostly it was a detour that is over.
  const uint32_t size = tx.search_high >= ceiling(c) ? tx.search_high : (tx.path_mtu + tx.search_high + 1u) / 2;
  const uint32_t length = tx.mss + size - tx.path_mtu;
  // Enough behind it to tell of its loss without a timeout (RFC 4821 7.4).
  const auto unsent = static_cast<uint32_t>(data_end(c) - c.snd_nxt);
  if (unsent < length + kDuplicateThreshold * tx.mss || right_edge(c) - c.snd_nxt < static_cast<int32_t>(length)) return;
  if (c.cc.cwnd() < in_flight(c) + length + kDuplicateThreshold * tx.mss) return;
  send_in_one(core, c, length);
  tx.probe_mtu = static_cast<uint16_t>(size);
  tx.probe_end = c.snd_nxt;
}

}  // namespace sluice::tcp
