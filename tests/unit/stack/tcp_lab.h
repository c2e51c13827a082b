// TCP in a host stack, and a peer of hand-made segments that speaks to port 80.
#pragma once

#include "tests/unit/stack/lab.h"

namespace sluice::test {

inline constexpr uint8_t kRst = wire::kTcpRst, kAck = wire::kTcpAck, kSyn = wire::kTcpSyn, kFin = wire::kTcpFin,
                  kPsh = wire::kTcpPsh;
inline constexpr uint16_t kPort = 80;

class TcpIpTest : public Lab, public ::testing::WithParamInterface<bool> {
 protected:
  const bool six = GetParam();
  const std::string own = six ? "2001:db8:1::1" : "198.18.1.1", peer = six ? "2001:db8:1::10" : "198.18.1.10";

  tcp::Stack& tcp_stack() { return stack->tcp().stack(); }
  Octets packet(const Octets& message, const std::string& s, const std::string& d, uint8_t proto = 6) {
    return six ? ip6({.src = s, .dst = d, .next = proto}, message) : ip4({.src = s, .dst = d, .proto = proto}, message);
  }
  void in_packet(const Octets& p, uint16_t port = 0) { in(eth(p, six ? 0x86dd : 0x800, mac_of_port(port)), port); }
  Octets message(uint16_t sport, uint8_t flags, uint32_t seq, uint32_t ack = 0, const Octets& data = {}) {
    Octets m = tcp(sport, kPort, flags, seq, ack, data);
    put16(m, 14, 65535);  // window
    return sealed(peer, own, 6, m, 16);
  }
  void segment(uint16_t sport, uint8_t flags, uint32_t seq, uint32_t ack = 0, const Octets& data = {}) {
    in_packet(packet(message(sport, flags, seq, ack, data), peer, own));
  }
  void listen() {
    tcp::ListenerId id;
    ASSERT_EQ(tcp_stack().listen({.address = {}, .port = kPort, .nagle = false}, id), tcp::Outcome::ok);
  }
  // A connection from `sport`, whose next sequence number is 1001; the box's next one is `ack`.
  tcp::ConnId accept(uint16_t sport, uint32_t& ack) {
    segment(sport, kSyn, 1000);
    const Sent s = take();
    EXPECT_EQ(s.l4()[13] & (kSyn | kAck | kRst), kSyn | kAck);
    ack = get32(s.l4(), 4) + 1;
    segment(sport, kAck, 1001, ack);
    tcp::Event e;
    EXPECT_EQ(tcp_stack().events({&e, 1}), 1u);
    EXPECT_EQ(e.kind, tcp::EventKind::accepted);
    return e.conn;
  }
  // Data that arrived, as far as it is there.
  Octets received() {
    Octets all;
    tcp::Event e;
    while (tcp_stack().events({&e, 1})) {
      if (e.kind != tcp::EventKind::data) continue;
      const uint8_t* p = rte_pktmbuf_mtod_offset(e.m, const uint8_t*, e.offset);
      all.insert(all.end(), p, p + e.length);
      EXPECT_EQ(tcp_stack().receive_done(now, e.conn, e.length), tcp::Outcome::ok);
      stack->tcp().buffers().free(e.m);
    }
    return all;
  }
  void flush() { stack->flush(ifs, now, *this); }
  tcp::Outcome connect(const std::string& to, tcp::ConnId& id, uint16_t port = 9, const std::string& from = {}) {
    tcp::ConnectOptions o;
    o.tuple.remote = parse_ip(to).value();
    if (!from.empty()) o.tuple.local = parse_ip(from).value();
    o.tuple.remote_port = port;
    tcp::Outcome r{};
    stack->command(ifs, now, *this, [&] { r = stack->tcp().connect(now, o, id); });
    flush();
    return r;
  }
};

}  // namespace sluice::test
