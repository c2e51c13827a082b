// Any frames into the host stack, as a worker hands them over, with time passing in between. Input: a list of
// records: control byte, length (2 bytes), frame. Control: bits 0-1 in port, bit 2 a packet to be resolved, bits 3-7
// time until then, in steps of 200 ms. What must hold: no crash, every mbuf and every packet accounted for.
#include <rte_eal.h>

#include <cstdlib>
#include <cstring>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/parse.h"
#include "stack/host_stack.h"

namespace {

using namespace sluice;

void check(bool ok) {
  if (!ok) std::abort();
}

struct World : stack::StackOut, stack::RouteQuery {
  World() {
    ifs.port.resize(2);
    for (unsigned p = 0; p < 2; p++) {
      Interface& i = ifs.port[p];
      i.mac = Mac{{2, 0, 0, 0, 0, static_cast<uint8_t>(1 + p)}};
      i.mtu = p ? 1400 : 1500;
      const std::string n = std::to_string(p + 1);
      i.addresses = {*parse_prefix("198.18." + n + ".1/24"), *parse_prefix("2001:db8:" + n + "::1/64")};
      i.link_local = link_local_of(i.mac);
    }
    ifs.port[1].exception = {{.proto = 6, .dport = 22, .sport = 0, .source = {}}};
    config.reassembly_datagrams = 8;
    config.reassembly_per_source = 4;
    config.max_incomplete = 8;
    config.announce = 1;
  }
  void done(rte_mbuf* m, bool dropped) {
    check(m->nb_segs == 1 && !m->next && m->data_len == m->pkt_len);
    const Meta& meta = stash(m);
    if (!dropped) check(meta.kind != RingKind::route || meta.l3 + meta.ip_length == m->data_len);
    if (dropped) account.row(m->port).drop(meta.reason);
    else account.row(m->port).forwarded.add(1);
    rte_pktmbuf_free(m);
  }
  void emit(rte_mbuf* m) override { done(m, stash(m).kind == RingKind::refuse); }
  void exception(rte_mbuf* m) override { done(m, false); }
  bool hand_over(const tcp::Tuple&, rte_mbuf*) override { return false; }
  std::optional<stack::Way> towards(const IpAddr&) const override { return std::nullopt; }
  bool own(const IpAddr&) const override { return false; }
  bool comes_here(const tcp::Tuple&) const override { return true; }
  int64_t open() const {
    int64_t sum = 0;
    auto add = [&](const PortAccount& r) {
      sum += static_cast<int64_t>(r.rx_packets.get() + r.created.get() - r.forwarded.get() - r.consumed.get());
      for (const Counter& c : r.drops) sum -= static_cast<int64_t>(c.get());
    };
    for (const PortAccount& r : account.port) add(r);
    add(account.box);
    return sum;
  }

  Interfaces ifs;
  stack::StackConfig config;
  Account account;
};

PacketPool& pool() {
  static std::unique_ptr<PacketPool> p = [] {
    const char* args[] = {"fuzz", "--no-huge", "--no-shconf", "-m", "128", "--no-pci", "--no-telemetry", "--log-level=3"};
    check(rte_eal_init(8, const_cast<char**>(args)) >= 0);
    return std::move(PacketPool::create("fuzz", {.packets = 256, .cache = 0, .huge_pages = false}).value());
  }();
  return *p;
}

void frame_in(World& w, stack::HostStack& s, Instant now, uint8_t control, const uint8_t* data, size_t n) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool().mempool());
  if (!m) return;
  std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(n)), data, n);
  m->port = control & 1;
  w.account.row(m->port).rx_packets.add(1);
  Meta meta;
  const DropReason why = path::parse(m, w.ifs.port[m->port], meta);
  if (why != DropReason::count_) {
    w.account.row(m->port).drop(why);
    rte_pktmbuf_free(m);
    return;
  }
  meta.kind = RingKind::local;
  if (control & 4 && (meta.family == 4 || meta.family == 6)) {
    meta.kind = RingKind::resolve;
    meta.egress = control >> 1 & 1;
    if (meta.family == 4) meta.next_hop = wire::at<wire::Ip4Hdr>(bytes_of(m).data() + meta.l3)->dst;
    else meta.next_hop = wire::at<wire::Ip6Hdr>(bytes_of(m).data() + meta.l3)->dst;
  }
  stash(m) = meta;
  s.receive(w.ifs, now, &m, 1, w);
  s.flush(w.ifs, now, w);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  rte_mempool* mempool = pool().mempool();
  World w;
  NeighborTable table(16, HashKey{{1, 2, 3, 4}});
  {
    stack::HostStack s(w.config, table, w.account, mempool, w);
    Instant now{1'000'000'000};
    while (size >= 3) {
      const uint8_t control = data[0];
      const size_t n = std::min<size_t>({size_t{data[1]} << 8 | data[2], size - 3, 2000});
      now = now + Duration::millis(200) * (control >> 3);
      if (s.next_deadline() <= now) s.tick(w.ifs, now, w);
      frame_in(w, s, now, control, data + 3, n);
      data += 3 + n;
      size -= 3 + n;
    }
    check(pool().in_use() == s.held() + s.held_by_tcp());
    check(w.open() == static_cast<int64_t>(s.held()));
  }
  check(pool().in_use() == 0 && w.open() == 0);
  return 0;
}
