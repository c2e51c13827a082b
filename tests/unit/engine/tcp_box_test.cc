// TCP through a whole box, in virtual time: a peer of hand-made segments, and two boxes on one cable.
#include <map>

#include "../eal_env.h"
#include "tcp_box_fixture.h"

namespace sluice::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Ip, TcpFamilyTest, ::testing::Bool(), [](const auto& i) { return i.param ? "v6" : "v4"; });

TEST_P(TcpFamilyTest, EchoesToAPeerAndCloses) {
  make_with_tcp();
  serve_echo(*box);
  Segment me = handshake(GetParam(), 40000);
  EXPECT_EQ(connections(0), 1u);
  me.flags = kAck | kPsh;
  me.data = Frame{'h', 'e', 'l', 'l', 'o'};
  feed(me);
  settle();
  Segment it;
  EXPECT_EQ(said(it), me.data);
  EXPECT_EQ(it.ack, me.seq + 5);
  EXPECT_GT(box->held_by_tcp(), 0u) << "what it echoes is not acknowledged yet";
  expect_audit_closed(*box);

  feed(reply(it, kAck | kFin));
  pass(Duration::millis(100));
  ASSERT_TRUE([&] { said(it); return it.has(kFin); }());
  EXPECT_EQ(box->held_by_tcp(), 0u);
  feed(reply(it, kAck));
  settle();
  EXPECT_EQ(connections(0), 0u);
  expect_audit_closed(*box);
}

// Every turn's books close: while packets lie in rings, in ports, and after what they refer to is acknowledged.
TEST_P(TcpFamilyTest, PortsThatCutGetAnAnswerByReference) {
  port_tx = {.tcp_checksum = true, .segments = 8, .tso_segments = 32};
  make_with_tcp();
  serve_echo(*box);
  Segment me = handshake(GetParam(), 40000);
  unsigned cut = 0, clones = 0;
  lan->on_tx = [&](const rte_mbuf* m) {
    cut += (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
    for (; m; m = m->next) clones += !RTE_MBUF_DIRECT(m);
  };
  Frame sent;
  for (unsigned i = 0; i < 3; i++) {
    me.flags = kAck | kPsh;
    me.data.assign(1000, static_cast<uint8_t>('a' + i));
    feed(me);
    me.seq += 1000;
    sent.insert(sent.end(), me.data.begin(), me.data.end());
  }
  bool in_ring = false;
  for (unsigned i = 0; i < 50; i++, now = now + Duration::micros(1)) {
    box->turn(now);
    in_ring |= box->queued() > 0;
    expect_audit_closed(*box);
  }
  EXPECT_TRUE(in_ring);
  EXPECT_EQ(cut, 1u);
  EXPECT_EQ(clones, 3u);
  Frame last;
  for (Frame f = lan->take(); !f.empty(); f = lan->take()) last = f;
  ASSERT_GT(last.size(), sent.size());
  EXPECT_EQ(Frame(last.end() - static_cast<long>(sent.size()), last.end()), sent);
  EXPECT_EQ(box->held_by_tcp(), 3u);
  me.flags = kAck;
  me.ack += 3000;
  me.data.clear();
  feed(me);
  settle();
  EXPECT_EQ(box->held_by_tcp(), 0u);
  expect_audit_closed(*box);
}

// One port that can do nothing is enough.
TEST_P(TcpFamilyTest, WhatOnePortCannotNoneIsAskedFor) {
  port_tx = {.tcp_checksum = true, .segments = 8, .tso_segments = 32};
  odd_port_tx = TxOffloads{};
  make_with_tcp();
  serve_echo(*box);
  Segment me = handshake(GetParam(), 40000);
  me.flags = kAck | kPsh;
  me.data.assign(1000, 'x');
  feed(me);
  settle();
  Segment it;
  EXPECT_EQ(said(it), me.data) << "with a checksum, which said() looks at";
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, AClosedPortResets) {
  make_with_tcp();
  const bool six = GetParam();
  feed({.src = six ? host6 : host4, .dst = six ? own6 : own4, .sport = 40000, .dport = 9, .seq = 77, .flags = kSyn});
  settle();
  const auto rst = next();
  ASSERT_TRUE(rst);
  EXPECT_EQ(rst->flags, kRst | kAck);
  EXPECT_EQ(rst->ack, 78u);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, AWrongChecksumIsDropped) {
  make_with_tcp();
  serve_echo(*box);
  const bool six = GetParam();
  Frame f = tcp_frame(kLanMac, kLanHostMac, {.src = six ? host6 : host4, .dst = six ? own6 : own4, .sport = 40000,
                                             .dport = kEcho, .seq = 1, .flags = kSyn});
  f[14 + (six ? 40 : 20) + 4] ^= 1;  // of the sequence number
  lan->feed(f);
  settle();
  EXPECT_FALSE(next());
  EXPECT_EQ(books(*box).drops(DropReason::tcp_checksum), 1u);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, WhatComesInFragmentsIsAnswered) {
  make_with_tcp();
  serve_echo(*box);
  const bool six = GetParam();
  Segment me = handshake(six, 40000);
  me.flags = kAck | kPsh;
  me.data.assign(100, 'f');
  feed_in_fragments(me);
  settle();
  Segment it;
  EXPECT_EQ(said(it), me.data);
  EXPECT_EQ(box->stack_stats().reassembled, 1u);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, TimersKeepTheBoxAwake) {
  make_with_tcp();
  serve_echo(*box);
  const bool six = GetParam();
  feed({.src = six ? host6 : host4, .dst = six ? own6 : own4, .sport = 40000, .dport = kEcho, .seq = 1, .flags = kSyn});
  settle();
  ASSERT_TRUE(next());
  EXPECT_LE(box->next_deadline(), now + Duration::seconds(1));
  pass(Duration::millis(1100));
  const auto again = next();
  ASSERT_TRUE(again) << "the SYN-ACK is sent again";
  EXPECT_EQ(again->flags & (kSyn | kAck), kSyn | kAck);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, AnIcmpErrorEndsAnAttempt) {
  make_with_tcp();
  const bool six = GetParam();
  const IpAddr host = six ? host6 : host4, own = six ? own6 : own4;
  Client& c = connect(*box, 0, host, 9);
  EXPECT_EQ(c.outcome, app::Outcome::ok);
  const auto syn = next();
  ASSERT_TRUE(syn);
  EXPECT_EQ(syn->flags & (kSyn | kAck), kSyn);
  EXPECT_EQ(syn->src, own) << "from the address that shares the link with the peer";
  Segment alien = *syn;
  alien.seq += 5000;
  feed_port_unreachable(alien);
  settle();
  EXPECT_FALSE(c.over) << "what was never sent is not believed";
  feed_port_unreachable(*syn);
  settle();
  EXPECT_TRUE(c.over);
  EXPECT_EQ(c.failure, app::Failure::unreachable);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, StoppingReturnsWhatConnectionsKeep) {
  make_with_tcp();
  serve_echo(*box);
  Segment me = handshake(GetParam(), 40000);
  me.flags = kAck;
  me.data.assign(1000, 'x');
  feed(me);
  me.seq += 3000;  // out of order
  feed(me);
  settle();
  EXPECT_GE(box->held_by_tcp(), 2u);
  expect_audit_closed(*box);
  box->stop();
  EXPECT_EQ(box->held_by_tcp(), 0u);
  EXPECT_EQ(box->pool().in_use(), 0u);
}

// ---- several stack engines

TEST_P(TcpFamilyTest, WhenItStopsEveryPeerIsTold) {
  make_with_tcp();
  serve_echo(*box);
  const bool six = GetParam();
  const Segment leaves = handshake(six, 40000), stays = handshake(six, 40001);
  Segment waits = handshake(six, 40002);  // for the ACK of what it echoed
  waits.flags = kAck | kPsh;
  waits.data.assign(100, 'x');
  feed(waits);
  settle();
  Segment echoed;
  EXPECT_EQ(said(echoed).size(), 100u);

  box->end_connections();
  settle();
  Segment syn = leaves;
  syn.sport = 40003, syn.flags = kSyn;
  feed(syn);
  settle();
  std::map<uint16_t, Segment> told;
  const auto listen = [&] {
    while (auto s = next()) told[s->dport] = *s;
  };
  listen();
  EXPECT_TRUE(told[40000].has(kFin) && told[40001].has(kFin)) << "nothing was under way";
  EXPECT_TRUE(told[40003].has(kRst)) << "nobody listens any more";
  feed(reply(told[40000], kFin | kAck));
  settle();
  EXPECT_FALSE(box->connections_ended());
  told.clear();
  pass(Duration::millis(310));
  listen();
  EXPECT_FALSE(told[40000].has(kRst)) << "it has closed its side, too";
  for (uint16_t port : {uint16_t{40001}, uint16_t{40002}}) EXPECT_TRUE(told[port].has(kRst)) << port;
  EXPECT_EQ(told[40002].seq, echoed.seq + 100 + 1) << "behind the FIN that follows what is under way";
  EXPECT_EQ(told[40001].seq, stays.ack + 1) << "behind the FIN";
  pass(Duration::millis(110));
  EXPECT_TRUE(box->connections_ended());
  EXPECT_EQ(box->held_by_tcp(), 0u);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, WithoutConnectionsItStopsAtOnce) {
  make_with_tcp();
  serve_echo(*box);
  box->end_connections();
  settle();
  EXPECT_TRUE(box->connections_ended());
}

TEST_P(TcpFamilyTest, SeveralStackEnginesShareTheConnections) {
  make_with_tcp(3, 2);
  serve_echo(*box);
  const bool six = GetParam();
  unsigned at[3] = {};
  for (uint16_t i = 0; i < 30; i++) {
    Segment me = handshake(six, static_cast<uint16_t>(40000 + i), i % 2);
    me.flags = kAck | kPsh;
    me.data = Frame(static_cast<size_t>(10 + i), static_cast<uint8_t>(i));
    if (i % 3 == 0) feed_in_fragments(me, i % 2);
    else feed(me, (i + 1) % 2);
    settle();
    Segment it;
    ASSERT_EQ(said(it), me.data) << "connection " << i;
    feed(reply(it, kAck), i % 2);
    settle();
  }
  for (unsigned e = 0; e < 3; e++) at[e] = connections(e);
  EXPECT_TRUE(at[0] > 3 && at[1] > 3 && at[2] > 3) << at[0] << " " << at[1] << " " << at[2];
  EXPECT_EQ(at[0] + at[1] + at[2], 30u);
  EXPECT_EQ(box->stack_stats().reassembled, 10u);
  expect_audit_closed(*box);
}

TEST_P(TcpFamilyTest, AnswersComeToTheEngineThatConnected) {
  make_with_tcp(3, 2);
  const bool six = GetParam();
  for (unsigned round = 0; round < 4; round++)
    for (unsigned e = 0; e < 3; e++) {
      drain();
      Client& c = connect(*box, e, six ? host6 : host4, static_cast<uint16_t>(9000 + round));
      auto syn = next();
      ASSERT_TRUE(syn);
      if (round == 3) {
        feed_port_unreachable(*syn, 1);  // comes to the first engine, and goes on to the owner
        settle();
        EXPECT_EQ(c.failure, app::Failure::unreachable);
        continue;
      }
      Segment answer = reply(*syn, kSyn | kAck);
      answer.seq = 5000;
      feed(answer, round % 2);
      settle();
      EXPECT_TRUE(c.connected) << "engine " << e;
    }
  expect_audit_closed(*box);
}

// ---- floods

TEST_F(TcpBoxTest, AFloodOfSynsLeavesRoomForTheRest) {
  make_with_tcp();
  serve_echo(*box);
  Segment old = handshake(false, 40000);
  for (int round = 0; round < 20; round++) {
    for (uint32_t i = 0; i < 300; i++) {
      const auto n = static_cast<uint32_t>(round) * 300 + i;
      feed({.src = Ip4::from_host(0xc6120102 + n % 200), .dst = own4, .sport = static_cast<uint16_t>(1024 + n),
            .dport = kEcho, .seq = n, .flags = kSyn});
    }
    settle();
    drain();
  }
  uint32_t half_open = 0;
  box->run_on_stack(0, [&](stack::HostStack& s, apps::Host&) { half_open = s.tcp().stack().sizes().half_open; });
  EXPECT_LE(half_open, 32u);
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
  old.flags = kAck | kPsh;
  old.data = {'!'};
  feed(old);
  settle();
  bool resolved = false, echoed = false;
  for (Frame f = lan->take(); !f.empty(); f = lan->take()) {
    resolved |= arp_of(f) && arp_of(f)->op.host() == 2;
    if (!arp_of(f))
      if (const auto s = segment_of(f)) echoed |= s->data == old.data;
  }
  EXPECT_TRUE(resolved);
  EXPECT_TRUE(echoed);
  handshake(false, 40001);  // with a cookie
  expect_audit_closed(*box);
}

// ---- UDP

TEST_P(TcpFamilyTest, TheSmallServicesSpeakUdpWhereTheyAreBound) {
  make_with_tcp();
  using stack::UdpService;
  box->run_on_stack(0, [](stack::HostStack& s, apps::Host&) {
    s.serve_udp({{.address = {}, .port = 7, .service = UdpService::echo},
                 {.address = {}, .port = 9, .service = UdpService::discard},
                 {.address = {}, .port = 19, .service = UdpService::chargen}});
  });
  const bool six = GetParam();
  const IpAddr host = six ? host6 : host4, own = six ? own6 : own4;
  const Frame text(33, 'u');
  const auto ask = [&](uint16_t sport, uint16_t dport) {
    Frame m;
    append(m, wire::UdpHdr{be16::from(sport), be16::from(dport), be16::from(static_cast<uint16_t>(8 + text.size())), {}});
    m.insert(m.end(), text.begin(), text.end());
    wire::at<wire::UdpHdr>(m.data())->checksum = wire::finish(wire::sum_bytes(m.data(), m.size(), pseudo(host, own, 17, m.size())));
    lan->feed(ip_frame(kLanMac, kLanHostMac, host, own, wire::kProtoUdp, m));
    settle();
    const Frame f = lan->take();
    return f.empty() ? f : Frame(f.begin() + (six ? 54 : 34), f.end());
  };
  const Frame echo = ask(1000, 7);
  ASSERT_GE(echo.size(), 8 + text.size());
  EXPECT_EQ(wire::at<wire::UdpHdr>(echo.data())->dport.host(), 1000);
  EXPECT_EQ(wire::at<wire::UdpHdr>(echo.data())->sport.host(), 7);
  EXPECT_EQ(wire::fold16(wire::sum_bytes(echo.data(), 8 + text.size(), pseudo(own, host, 17, 8 + text.size()))), 0xffff);
  EXPECT_EQ(Frame(echo.begin() + 8, echo.begin() + 8 + 33), text);
  EXPECT_TRUE(ask(1000, 9).empty());
  const Frame characters = ask(1000, 19);
  ASSERT_GE(characters.size(), 8u);
  EXPECT_LE(wire::at<wire::UdpHdr>(characters.data())->length.host(), 8 + text.size()) << "no amplifier";
  for (const uint16_t other : std::initializer_list<uint16_t>{0, 7, 9, 13, 17, 19}) EXPECT_TRUE(ask(other, 7).empty()) << "a loop with port " << other;
  EXPECT_EQ(books(*box).drops(DropReason::udp_unanswered), 6u);
  unsigned answers = 0;
  for (int i = 0; i < 300; i++) answers += !ask(1000, 7).empty();
  EXPECT_LT(answers, 200u) << "a rate";
  const Frame closed = ask(1000, 8);
  ASSERT_FALSE(closed.empty());
  EXPECT_EQ(closed[0], six ? 1 : 3) << "port unreachable";
  expect_audit_closed(*box);
}

// Two boxes, wan to wan on one cable: one has the service, the other the client.
class TwoBoxesTest : public TcpFamilyTest {
 protected:
  // Both boxes have 198.18.2.1 in the fixture, so the client's is moved.
  void make_two() {
    make_with_tcp();
    services_box = std::move(box);
    server_wan = wan;
    make_with_tcp();
    auto s = std::make_shared<path::Snapshot>(*router_snapshot(3, true));
    auto ifs = std::make_shared<Interfaces>(*s->interfaces);
    ifs->port[1].mac = client_mac;
    ifs->port[1].link_local = link_local_of(client_mac);
    ifs->port[1].addresses = {*parse_prefix("198.18.2.2/24"), *parse_prefix("2001:db8:2::2/64")};
    s->interfaces = ifs;
    auto routes = std::make_shared<path::Routes>(*s->routes);
    add_own(*routes);
    s->routes = routes;
    box->publish(s);
    run(Duration::seconds(5));
  }
  static void add_own(path::Routes& r) {
    constexpr uint32_t kWan = 1;  // the group of what is connected to the wan port
    const auto g = static_cast<uint32_t>(r.groups.size());
    r.groups.push_back({.kind = path::NextHopGroup::Kind::local, .local_port = 1, .hop = {}});
    std::vector<FibRoute> four = {{*parse_prefix("198.18.2.0/24"), kWan}, {*parse_prefix("198.18.2.2/32"), g}};
    std::vector<FibRoute> six = {{*parse_prefix("2001:db8:2::/64"), kWan}, {*parse_prefix("2001:db8:2::2/128"), g}};
    r.fib4 = std::move(Fib4::build(four).value());
    r.fib6 = std::move(Fib6::build(six).value());
  }
  // Turns both boxes, and carries frames: those for which `lose` says so are lost.
  void run(Duration d) {
    const Instant end = now + d;
    int quiet = 0;
    while (now < end) {
      unsigned moved = box->turn(now) + services_box->turn(now);
      moved += carry(*wan, *server_wan) + carry(*server_wan, *wan);
      quiet = moved ? 0 : quiet + 1;
      Instant next = now + Duration::micros(1);
      if (quiet > 3) next = std::max(next, std::min({end, box->next_deadline(), services_box->next_deadline()}));
      now = next;
    }
  }
  unsigned carry(FakePort& from, FakePort& to) {
    unsigned n = 0;
    for (Frame f = from.take(); !f.empty(); f = from.take(), n++)
      if (!lose || !lose(f)) to.feed(f);
    return n;
  }
  void TearDown() override {
    BoxTest::TearDown();
    box = std::move(services_box);
    BoxTest::TearDown();
  }

  const Mac client_mac = mac(0x77);
  std::unique_ptr<Box> services_box;
  FakePort* server_wan = nullptr;
  std::function<bool(const Frame&)> lose;
};
INSTANTIATE_TEST_SUITE_P(Ip, TwoBoxesTest, ::testing::Bool(), [](const auto& i) { return i.param ? "v6" : "v4"; });

TEST_P(TwoBoxesTest, BulkThereAndBackWithLoss) {
  make_two();
  std::swap(box, services_box);
  serve_echo(*box);
  std::swap(box, services_box);
  unsigned frames = 0, lost = 0;
  lose = [&](const Frame& f) { return segment_of(f) && ++frames % 50 == 0 && ++lost; };
  constexpr size_t kBytes = 2'000'000;
  Client& c = connect(*box, 0, *parse_ip(GetParam() ? "2001:db8:2::1" : "198.18.2.1"), kEcho, kBytes);
  EXPECT_EQ(c.outcome, app::Outcome::ok);
  for (int i = 0; i < 600 && !c.over; i++) run(Duration::millis(100));
  EXPECT_TRUE(c.connected);
  EXPECT_EQ(c.received.size(), kBytes);
  EXPECT_TRUE(c.right());
  EXPECT_TRUE(c.over) << "the last event was " << int(c.last);
  EXPECT_GT(lost, 20u);
  run(Duration::seconds(70));
  EXPECT_EQ(services_box->held_by_tcp(), 0u);
  EXPECT_EQ(box->held_by_tcp(), 0u);
  expect_audit_closed(*box);
}

}  // namespace
}  // namespace sluice::test
