// A host stack in virtual time with three ports, and the books of what goes in and comes out. Frames take the
// real parser on their way in. A test ends by closing the audit and looking at the pool.
//
//   port 0: 198.18.1.1/24, 2001:db8:1::1/64    port 1: .2.1, 2::1    port 2: .3.1, 3::1, MTU 1400
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/parse.h"
#include "stack/host_stack.h"
#include "tests/unit/frames.h"

namespace sluice::test {

inline Mac mac_of_port(unsigned p) { return {{2, 0, 0, 0, 0, static_cast<uint8_t>(1 + p)}}; }
inline const Mac kPeer{{2, 0x54, 0, 0, 0, 0x10}}, kOther{{2, 0x54, 0, 0, 0, 0x11}};
inline constexpr uint8_t kWorker = 3;

inline Octets tail(const Octets& o, size_t from) { return Octets(o.begin() + static_cast<long>(std::min(from, o.size())), o.end()); }
inline Octets head(const Octets& o, size_t n) { return Octets(o.begin(), o.begin() + static_cast<long>(std::min(n, o.size()))); }

inline Octets pseudo6(const Ip6& s, const Ip6& d, uint8_t proto, size_t n) {
  return of(s) + of(d) + words({unsigned(n >> 16), unsigned(n & 0xffff), 0, proto});
}
inline Octets pseudo4(const Ip4& s, const Ip4& d, uint8_t proto, size_t n) {
  return of(s) + of(d) + words({proto, unsigned(n)});
}
inline Octets pseudo(std::string_view s, std::string_view d, uint8_t proto, size_t n) {
  return s.find(':') == s.npos ? pseudo4(a4(s), a4(d), proto, n) : pseudo6(a6(s), a6(d), proto, n);
}
// Fills in the checksum at `at` of an upper-layer message.
inline Octets sealed(std::string_view s, std::string_view d, uint8_t proto, Octets msg, size_t at) {
  put16(msg, at, 0);
  put16(msg, at, plain_checksum(pseudo(s, d, proto, msg.size()) + msg));
  return msg;
}
inline bool sum_ok(std::string_view s, std::string_view d, uint8_t proto, const Octets& msg) {
  return plain_sum(pseudo(s, d, proto, msg.size()) + msg) == 0xffff;
}
inline Octets icmp6(std::string_view s, std::string_view d, uint8_t type, uint8_t code, const Octets& body) {
  return sealed(s, d, 58, Octets{type, code, 0, 0} + body, 2);
}
inline Octets option_mac(uint8_t type, const Mac& m) { return Octets{type, 1} + of(m); }

struct Sent {
  Meta meta;
  Octets frame;
  uint64_t ol_flags = 0;
  uint64_t l2 = 0, l3 = 0, l4_length = 0, segment = 0;  // mbuf->tx_offload
  std::vector<const uint8_t*> refers;  // where the bytes are that its mbufs do not have themselves
  unsigned mbufs = 1;
  RingKind kind() const { return meta.kind; }
  Octets ip() const { return tail(frame, meta.l3); }
  Octets l4() const { return tail(frame, meta.l4); }
  Mac dst() const { return *reinterpret_cast<const Mac*>(frame.data()); }
  Mac src() const { return *reinterpret_cast<const Mac*>(frame.data() + 6); }
  unsigned ethertype() const { return get16(frame, 12); }
  bool arp(unsigned op) const { return ethertype() == 0x806 && get16(frame, 20) == op; }
  bool nd(uint8_t type) const { return ethertype() == 0x86dd && frame.size() > 54 && frame[20] == 58 && frame[54] == type; }
};

class Lab : public ::testing::Test, public stack::StackOut, public stack::RouteQuery {
 public:
  void SetUp() override {
    static int number = 0;
    pool_ = std::move(PacketPool::create("lab" + std::to_string(number++), {.packets = 1024, .cache = 0, .huge_pages = false}).value());
    ifs.port.resize(3);
    for (unsigned p = 0; p < 3; p++) {
      Interface& i = ifs.port[p];
      const std::string n = std::to_string(p + 1);
      i.name = "p" + n;
      i.mac = mac_of_port(p);
      i.mtu = p == 2 ? 1400 : 1500;
      i.addresses = {parse_prefix("198.18." + n + ".1/24").value(), parse_prefix("2001:db8:" + n + "::1/64").value()};
      i.link_local = link_local_of(i.mac);
    }
    config.announce = 0;
    config.key = {{1, 2, 3, 4}};
    start();
  }
  void TearDown() override {
    if (!stack) return;
    EXPECT_EQ(pool_->in_use(), stack->held() + stack->held_by_tcp());
    EXPECT_EQ(open(), static_cast<int64_t>(stack->held()));
    stack.reset();
    EXPECT_EQ(pool_->in_use(), 0u);
    EXPECT_EQ(open(), 0);
  }

  void start() {
    stack.reset();
    table = std::make_unique<NeighborTable>(neighbors, HashKey{{5, 6, 7, 8}});
    stack = std::make_unique<stack::HostStack>(config, *table, account, pool_->mempool(), *this);
    tick();
  }

  // received + created - forwarded - consumed - drops, over all rows.
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
  uint64_t drops(DropReason r, unsigned port = 0) const { return account.port[port].drops[static_cast<unsigned>(r)].get(); }
  uint64_t box_drops(DropReason r) const { return account.box.drops[static_cast<unsigned>(r)].get(); }
  uint64_t consumed(unsigned port = 0) const { return account.port[port].consumed.get(); }

  rte_mbuf* buffer(const Octets& frame, uint16_t port) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool_->mempool());
    EXPECT_TRUE(m);
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(frame.size())), frame.data(), frame.size());
    m->port = port;
    return m;
  }
  // A frame from the wire; what the parser refuses is counted and does not get here.
  void in(const Octets& frame, uint16_t port = 0) {
    rte_mbuf* m = buffer(frame, port);
    account.port[port].rx_packets.add(1);
    Meta meta;
    const DropReason r = path::parse(m, ifs.port[port], meta);
    if (r != DropReason::count_) {
      account.port[port].drop(r);
      rte_pktmbuf_free(m);
      return;
    }
    meta.kind = RingKind::local;
    meta.worker = kWorker;
    stash(m) = meta;
    m->ol_flags = rx_flags;
    stack->receive(ifs, now, &m, 1, *this);
    stack->flush(ifs, now, *this);
  }
  // A packet that a worker cannot send for want of the next hop's MAC.
  void resolve(std::string_view next_hop, uint16_t egress, uint8_t mark = 0, uint16_t in_port = 0) {
    const bool v4 = next_hop.find(':') == next_hop.npos;
    const Octets packet = v4 ? ip4({.src = "198.18.1.10", .dst = "198.18.2.10", .id = mark}, udp(1, 2, {mark}))
                             : ip6({}, udp(1, 2, {mark}));
    rte_mbuf* m = buffer(eth(packet, v4 ? 0x800 : 0x86dd), in_port);
    account.port[in_port].rx_packets.add(1);
    Meta meta;
    ASSERT_EQ(path::parse(m, ifs.port[in_port], meta), DropReason::count_);
    meta.kind = RingKind::resolve;
    meta.worker = kWorker;
    meta.egress = egress;
    meta.next_hop = parse_ip(next_hop).value();
    stash(m) = meta;
    stack->receive(ifs, now, &m, 1, *this);
  }
  void tick() { stack->tick(ifs, now, *this); }
  // Turns the stack at each of its deadlines, as an lcore would.
  void advance(Duration d) {
    const Instant end = now + d;
    while (stack->next_deadline() <= end) {
      now = std::max(now, stack->next_deadline());
      wakeups++;
      tick();
      ASSERT_GT(stack->next_deadline(), now) << "a deadline that does not move";
    }
    now = end;
    tick();
  }

  void emit(rte_mbuf* m) override {
    Sent s{stash(m), {}, m->ol_flags, m->l2_len, m->l3_len, m->l4_len, m->tso_segsz, {}, m->nb_segs};
    EXPECT_TRUE(s.mbufs == 1 || config.tx.segments > 1);
    unsigned mbufs = 0;
    for (const rte_mbuf* part = m; part; part = part->next, mbufs++) {
      s.frame = s.frame + octets_of(part);
      if (!RTE_MBUF_DIRECT(part)) s.refers.push_back(rte_pktmbuf_mtod(part, const uint8_t*));
    }
    EXPECT_EQ(mbufs, m->nb_segs);
    EXPECT_EQ(s.frame.size(), m->pkt_len);
    PortAccount& row = account.row(m->port);
    if (s.kind() == RingKind::refuse) row.drop(s.meta.reason);
    else row.forwarded.add(1);
    out.push_back(std::move(s));
    if (ports_keep) in_ports.push_back(m);
    else rte_pktmbuf_free(m);
  }
  void exception(rte_mbuf* m) override {
    account.row(m->port).consumed.add(1);
    to_host.push_back({stash(m), octets_of(m)});
    rte_pktmbuf_free(m);
  }
  // Another stack engine's connections are those with a local port above `theirs`.
  bool hand_over(const tcp::Tuple& t, rte_mbuf* m) override {
    if (t.local_port <= theirs) return false;
    account.row(m->port).consumed.add(1);
    handed_over.push_back({stash(m), octets_of(m), m->ol_flags});
    rte_pktmbuf_free(m);
    return true;
  }
  std::optional<stack::Way> towards(const IpAddr& remote) const override {
    for (uint16_t p = 0; p < ifs.port.size(); p++)
      for (const Prefix& own : ifs.port[p].addresses)
        if (own.contains(remote)) return stack::Way{own.addr, {p, kWorker}, ifs.port[p].mtu};
    return std::nullopt;
  }
  bool own(const IpAddr& a) const override {
    for (const Interface& i : ifs.port)
      for (const Prefix& own : i.addresses)
        if (own.addr == a) return true;
    return false;
  }
  bool comes_here(const tcp::Tuple& t) const override {
    return theirs == UINT16_MAX || (t.local_port != 0 && t.local_port <= theirs);
  }
  // The oldest packet that came out, or fails the test.
  Sent take() {
    EXPECT_FALSE(out.empty()) << "nothing came out";
    if (out.empty()) return {Meta{}, zeros(128)};
    Sent s = out.front();
    out.pop_front();
    return s;
  }
  void nothing() {
    for (const Sent& s : out)
      ADD_FAILURE() << "came out: kind " << int(s.kind()) << ", " << s.frame.size() << " bytes, ethertype " << std::hex << s.ethertype();
    out.clear();
  }

  NeighborState state(std::string_view addr, uint16_t port = 0) {
    const uint32_t i = table->find(port, parse_ip(addr).value()).index;
    return i == NeighborTable::kNone ? NeighborState::free : table->state(i);
  }
  std::optional<Mac> mac(std::string_view addr, uint16_t port = 0) {
    const uint32_t i = table->find(port, parse_ip(addr).value()).index;
    if (i == NeighborTable::kNone || !table->word(i).usable()) return std::nullopt;
    return table->mac(i);
  }
  // As a worker does that sends to this neighbour.
  void touch(std::string_view addr, uint16_t port = 0) {
    table->touch(table->find(port, parse_ip(addr).value()).index, static_cast<uint32_t>(now.ns / 1000'000));
  }

  // --- the peer's side
  Octets arp_frame(unsigned op, const Mac& sha, std::string_view spa, const Mac& tha, std::string_view tpa,
                   const Mac& dst = kBroadcast, const Mac& src = kPeer) {
    return eth(words({1, 0x800, 0x604, op}) + of(sha) + of(a4(spa)) + of(tha) + of(a4(tpa)) + zeros(18), 0x806, dst, src);
  }
  void arp_reply(std::string_view addr, const Mac& m, uint16_t port) {
    in(arp_frame(2, m, addr, mac_of_port(port), "198.18." + std::to_string(port + 1) + ".1", mac_of_port(port), m), port);
  }
  struct Nd {
    std::string_view src, dst, target;
    Octets options;
    uint32_t flags = 0;
    uint8_t hop_limit = 255, code = 0, type = 0;
  };
  Octets nd_packet(const Nd& n) {
    const Octets body = words({n.flags >> 16, n.flags & 0xffff}) + of(a6(n.target)) + n.options;
    return ip6({.src = n.src, .dst = n.dst, .next = 58, .hop_limit = n.hop_limit}, icmp6(n.src, n.dst, n.type, n.code, body));
  }
  void ns(Nd n, uint16_t port = 0, const Mac& from = kPeer) {
    n.type = 135;
    const Ip6 d = a6(n.dst);
    in(eth(nd_packet(n), 0x86dd, d.multicast() ? multicast_mac(d) : mac_of_port(port), from), port);
  }
  static constexpr uint32_t kRouter = 1u << 31, kSolicited = 1u << 30, kOverride = 1u << 29;
  void na(Nd n, uint16_t port = 0, const Mac& from = kPeer) {
    n.type = 136;
    const Ip6 d = a6(n.dst);
    in(eth(nd_packet(n), 0x86dd, d.multicast() ? multicast_mac(d) : mac_of_port(port), from), port);
  }

  Interfaces ifs;
  stack::StackConfig config;
  unsigned neighbors = 1024;
  std::unique_ptr<NeighborTable> table;
  Account account;
  Instant now{1000 * 1'000'000'000ll};
  std::unique_ptr<stack::HostStack> stack;
  std::deque<Sent> out, to_host, handed_over;
  uint16_t theirs = UINT16_MAX;
  uint64_t rx_flags = 0;  // what the port says of the frame
  bool ports_keep = false;          // what they are given …
  std::vector<rte_mbuf*> in_ports;  // … here
  unsigned wakeups = 0;

 protected:
  std::unique_ptr<PacketPool> pool_;
};

}  // namespace sluice::test
