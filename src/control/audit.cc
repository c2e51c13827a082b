#include "control/audit.h"

#include <algorithm>

namespace sluice::control {

namespace {

void add(AuditRow& row, PortTotals* totals, const PortAccount& a) {
  row.received += a.rx_packets.get();
  row.created += a.created.get();
  row.forwarded += a.forwarded.get();
  row.consumed += a.consumed.get();
  for (unsigned r = 0; r < kDropReasons; r++) {
    row.drops[r] += a.drops[r].get();
    row.dropped += a.drops[r].get();
  }
  if (totals) {
    totals->rx_packets += a.rx_packets.get();
    totals->rx_bytes += a.rx_bytes.get();
    totals->tx_packets += a.tx_packets.get();
    totals->tx_bytes += a.tx_bytes.get();
  }
}

void add(Audit& out, const Account& a, size_t ports) {
  for (size_t p = 0; p < ports; p++) add(out.rows[p], &out.totals[p], a.port[p]);
  add(out.rows[ports], nullptr, a.box);
}

// SYNs that a port's program answered in their place: the SYN is received and consumed, its SYN-ACK is the box's.
void add_answered(Audit& out, size_t port, uint64_t n) {
  out.rows[port].received += n;
  out.rows[port].consumed += n;
  out.rows.back().created += n;
  out.rows.back().forwarded += n;
  out.transmitted += n;
}

void judge(Audit& a) {
  const int64_t open = a.sum.open();
  const bool books = open == static_cast<int64_t>(a.queued) && a.sum.forwarded == a.transmitted;
  const bool pool = a.pool_rest() >= 0 && a.pool_rest() <= static_cast<int64_t>(a.pool_untold);
  const auto leak = std::find_if(a.early.begin(), a.early.end(), [](const EarlyRow& r) { return !r.closed(); });
  a.closed = books && pool && leak == a.early.end();
  if (a.closed) {
    a.verdict = "closed: every packet is accounted for";
    if (a.queued) a.verdict += ", " + std::to_string(a.queued) + " still under way";
    if (a.held_by_tcp) a.verdict += ", TCP keeps " + std::to_string(a.held_by_tcp) + " buffers";
  } else if (!books) {
    a.verdict = "NOT closed: " + std::to_string(open) +
                " packets are neither transmitted, consumed nor dropped, and " + std::to_string(a.queued) +
                " are in queues; forwarded " + std::to_string(a.sum.forwarded) + ", transmitted " +
                std::to_string(a.transmitted);
  } else if (leak != a.early.end()) {
    a.verdict = "NOT closed: of " + std::to_string(leak->seen) + " frames that early drop saw on port " + leak->port + ", " +
                std::to_string(leak->dropped) + " were dropped, " + std::to_string(leak->answered) + " answered, " +
                std::to_string(leak->kernel) + " left to the kernel and " + std::to_string(leak->handed_up) +
                " handed up, of which " + std::to_string(leak->arrived()) + " arrived";
  } else {
    a.verdict = "NOT closed: the pool has " + std::to_string(a.pool_in_use) + " packets in use, ports hold " +
                std::to_string(a.pool_held) + ", queues " + std::to_string(a.queued + a.chained) + " and TCP " +
                std::to_string(a.held_by_tcp);
    if (a.pool_untold) a.verdict += "; devices' descriptors have room for " + std::to_string(a.pool_untold);
  }
}

Audit read_once(engine::Box& box, bool at_rest) {
  Audit out;
  const auto& ports = box.ports();
  out.rows.resize(ports.size() + 1);
  out.totals.resize(ports.size());
  for (size_t p = 0; p < ports.size(); p++) out.rows[p].name = ports[p]->info().name;
  out.rows.back().name = "box";
  std::vector<port::Stats> stats;
  for (const auto& p : ports) stats.push_back(p->stats());  // first: what a program has handed up by now has arrived later
  for (unsigned w = 0; w < box.workers(); w++) add(out, box.worker_account(w), ports.size());
  for (unsigned e = 0; e < box.stacks(); e++) add(out, box.stack_account(e), ports.size());
  // What a port could not make a packet of never reached an engine: the port's own books have it.
  for (size_t p = 0; p < ports.size(); p++) {
    for (const auto& [reason, n] : stats[p].rejected) {
      out.rows[p].received += n;
      out.rows[p].dropped += n;
      out.rows[p].drops[static_cast<unsigned>(reason)] += n;
    }
    add_answered(out, p, stats[p].answered);
    if (stats[p].early) out.early.push_back(early_row(*ports[p], stats[p], out.totals[p].rx_packets + stats[p].rx_rejected));
  }
  for (const AuditRow& r : out.rows) {
    out.sum.received += r.received;
    out.sum.created += r.created;
    out.sum.forwarded += r.forwarded;
    out.sum.consumed += r.consumed;
    out.sum.dropped += r.dropped;
    for (unsigned i = 0; i < kDropReasons; i++) out.sum.drops[i] += r.drops[i];
  }
  out.sum.name = "all";
  for (const PortTotals& t : out.totals) out.transmitted += t.tx_packets;
  out.queued = box.queued();
  if (at_rest) out.chained = box.chained();
  for (const auto& p : ports) {
    const port::Stats s = p->stats();
    out.pool_held += s.held;
    out.pool_untold += s.held_untold;
  }
  out.pool_held += box.held_by_taps();
  out.held_by_tcp = box.held_by_tcp();
  out.pool_size = box.pool().size();
  out.pool_in_use = box.pool().in_use();
  judge(out);
  return out;
}

}  // namespace

Audit audit(engine::Box& box) {
  Audit a;
  if (box.at_rest([&] { a = read_once(box, true); })) return a;
  a = read_once(box, false);
  a.closed = false;
  a.verdict = "NOT proven: an lcore does not turn, see events";
  return a;
}

Audit totals(engine::Box& box) {
  return read_once(box, false);
}

}  // namespace sluice::control
