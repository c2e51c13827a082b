// Overload in a whole box, in virtual time: the verdict behind rx_burst, governors, levels by hand, the books, and TCP's
// part: SYNs answered in front of the stack, connections known to be established.
#include "../eal_env.h"
#include "tcp/core.h"
#include "tcp_box_fixture.h"
#include "wire/tcp_options.h"

namespace sluice::test {
namespace {

using engine::ShedQueueView;

class ShedTest : public TcpBoxTest {
 protected:
  static constexpr uint32_t kRest = SLUICE_LEVEL_REST, kNew = SLUICE_LEVEL_NEW;

  void make_router(unsigned queues = 1) {
    make_simulated(1, {queues, 1});
    introduce_hosts();
  }
  ShedQueueView view(uint16_t port, uint16_t queue = 0) {
    for (const ShedQueueView& q : box->shed_queues())
      if (q.port == port && q.queue == queue) return q;
    ADD_FAILURE() << "no such queue";
    return {};
  }
  static uint64_t count(const ShedQueueView& q, sluice_outcome o, sluice_class c) {
    for (const auto& e : q.counts)
      if (e.outcome == o && e.cls == c) return e.frames;
    return 0;
  }
  static Frame to_wan(uint16_t sport) { return udp(kLanMac, kLanHostMac, kLanHost, sport, kWanHost, 2000); }
  static Frame to_lan(uint16_t dport) { return udp(kWanMac, kWanHostMac, kWanHost, 2000, kLanHost, dport); }
  unsigned take_all(FakePort& p) {
    unsigned n = 0;
    while (!p.take().empty()) ++n;
    return n;
  }
  // A turn of 64 µs, as of a worker that is at its capacity of one frame a microsecond.
  void turn() {
    box->turn(now);
    now = now + Duration::micros(64);
  }
};

TEST_F(ShedTest, AtLevelNothingEverythingPassesUncounted) {
  make_router();
  for (uint16_t i = 0; i < 100; ++i) lan->feed(to_wan(i));
  settle();
  EXPECT_EQ(take_all(*wan), 100u);
  const ShedQueueView v = view(0);
  EXPECT_EQ(v.level, 0u);
  EXPECT_EQ(v.held, -1);
  EXPECT_TRUE(v.native);
  EXPECT_TRUE(v.counts.empty());
  expect_audit_closed(*box);
}

TEST_F(ShedTest, ByHandAClassIsShedAndTheOthersPass) {
  make_router();
  lan->feed(to_wan(1));
  wan->feed(to_lan(1));
  settle();
  take_all(*wan), take_all(*lan);
  ASSERT_TRUE(box->hold_level(0, kRest));
  settle();
  EXPECT_EQ(view(0).level, kRest);
  EXPECT_EQ(view(0).held, static_cast<int32_t>(kRest));
  EXPECT_EQ(view(1).level, 0u) << "the other port's";

  for (uint16_t i = 0; i < 50; ++i) lan->feed(to_wan(100 + i));  // the rest
  for (int i = 0; i < 5; ++i) lan->feed(to_wan(1));              // established
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));         // control
  settle();
  EXPECT_EQ(take_all(*wan), 5u);
  EXPECT_EQ(take_all(*lan), 1u) << "an ARP reply";
  const ShedQueueView v = view(0);
  EXPECT_EQ(count(v, SLUICE_DROP_overload, SLUICE_CLASS_REST), 50u);
  EXPECT_EQ(count(v, SLUICE_OUT_REDIRECTED, SLUICE_CLASS_ESTABLISHED), 5u);
  EXPECT_EQ(count(v, SLUICE_OUT_REDIRECTED, SLUICE_CLASS_CONTROL), 1u);
  EXPECT_EQ(books(*box).drops(DropReason::shed_overload), 50u);
  expect_audit_closed(*box);

  for (uint16_t i = 0; i < 10; ++i) wan->feed(to_lan(100 + i));
  settle();
  EXPECT_EQ(take_all(*lan), 10u);
  ASSERT_TRUE(box->hold_level({}, {}));
  settle();
  EXPECT_EQ(view(0).level, 0u);
  EXPECT_FALSE(box->hold_level(2, 5)) << "there is no such port";
}

TEST_F(ShedTest, AFloodRaisesTheLevelAndItsEndLowersIt) {
  make_router();
  lan->feed(to_wan(1));
  wan->feed(to_lan(1));
  settle();
  take_all(*wan), take_all(*lan);
  lan->ring_size = 512;
  uint16_t port = 1000;
  unsigned passed = 0, flood_passed = 0;
  const auto flood = [&](unsigned turns) {
    for (unsigned t = 0; t < turns; ++t) {
      for (unsigned i = 0; i < 256; ++i) {
        if (i % 32 == 0) lan->feed(to_wan(1));  // an eighth of the capacity
        lan->feed(to_wan(++port));
      }
      turn();
      for (Frame f = wan->take(); !f.empty(); f = wan->take())
        (udp_of(f)->sport.host() == 1 ? passed : flood_passed)++;
    }
  };
  flood(2000);
  passed = flood_passed = 0;
  const uint64_t lost = lan->overflowed;
  flood(500);
  EXPECT_GT(view(0).level, 0u);
  EXPECT_LT(view(0).level, kRest);
  EXPECT_EQ(view(1).level, 0u);
  EXPECT_EQ(lan->overflowed - lost, 0u) << "the verdict is given before the ring is full";
  EXPECT_GE(passed, 500u * 8 * 97 / 100) << "established";
  EXPECT_GE(box->next_deadline(), now - Duration::micros(64));
  EXPECT_LE(box->next_deadline(), now + Duration::millis(5));
  expect_audit_closed(*box);
  // Nothing comes any more: the box looks again by itself until nothing is shed, and then no more.
  pass(Duration::seconds(2));
  EXPECT_EQ(view(0).level, 0u);
  EXPECT_GT(box->next_deadline(), now + Duration::millis(5));
}

// Round robin, a burst each: what floods one port costs another one nothing, nor the stack.
TEST_F(ShedTest, OneFloodedPortDoesNotStarveAnotherNorTheStack) {
  make_router();
  lan->ring_size = 512;
  uint16_t port = 1000;
  unsigned through = 0, echoes = 0;
  uint32_t level = 0;
  for (unsigned t = 0; t < 200; ++t) {
    for (unsigned i = 0; i < 256; ++i) lan->feed(to_wan(++port));
    for (unsigned i = 0; i < 32; ++i) wan->feed(to_lan(static_cast<uint16_t>(t * 32 + i)));
    wan->feed(echo_request(kWanMac, kWanHostMac, kWanHost, kWanBox));
    turn();
    level = std::max(level, view(0).level);
    EXPECT_EQ(view(1).level, 0u);
    for (Frame f = lan->take(); !f.empty(); f = lan->take()) through += udp_of(f) != nullptr;
    for (Frame f = wan->take(); !f.empty(); f = wan->take()) echoes += icmp_of(f) != nullptr;
  }
  EXPECT_GT(level, 0u);
  lan->ring_size = 0;
  settle();
  for (Frame f = lan->take(); !f.empty(); f = lan->take()) through += udp_of(f) != nullptr;
  for (Frame f = wan->take(); !f.empty(); f = wan->take()) echoes += icmp_of(f) != nullptr;
  EXPECT_EQ(through, 200u * 32);
  EXPECT_EQ(echoes, 200u);
  expect_audit_closed(*box);
}

TEST_F(ShedTest, AFillRingThatRunsDryCountsAsAFullQueue) {
  make_router();
  lan->buffers = port::Occupancy{.used = 20, .size = 512};
  lan->feed(to_wan(1));
  settle();
  EXPECT_GT(view(0).level, 0u);
  EXPECT_EQ(view(0).buffers.used, 20u);
}

TEST_F(ShedTest, ThePolicyTurnsTheGovernorOff) {
  make_router();
  shed::Policy p;
  p.governor = false;
  ASSERT_TRUE(box->set_shed_policy(p));
  lan->buffers = port::Occupancy{.used = 0, .size = 512};
  lan->feed(to_wan(1));
  settle();
  EXPECT_EQ(view(0).level, 0u);
  ASSERT_TRUE(box->hold_level({}, 100));
  settle();
  EXPECT_EQ(view(0).level, 100u) << "by hand all the same";
}

TEST_F(ShedTest, AProgramIsGivenTheLevelAndTheWorkerJudgesNothing) {
  sluice_queue in_front{};
  BoxOptions o;
  o.virtual_time = true;
  make(o);
  lan->program = &in_front;  // as if from its start: the first turn looks
  settle();
  EXPECT_FALSE(view(0).native);
  EXPECT_TRUE(view(1).native);
  ASSERT_TRUE(box->hold_level(0, kRest));
  settle();
  EXPECT_EQ(in_front.level, kRest);
  introduce_hosts();
  take_all(*wan);
  lan->feed(to_wan(1));
  settle();
  EXPECT_EQ(take_all(*wan), 1u) << "whatever came through the program is wanted";
  box->stop();
  EXPECT_EQ(in_front.level, 0u) << "nothing is left behind";
}

// The gate of a program in front (bpf/maps.h): little room for the rest in an overload, but no less than the lcore
// works off between two runs of what fills the ring.
TEST_F(ShedTest, TheGateOfTheRestIsNarrowUntilTheRingRunsDry) {
  constexpr uint32_t kRing = 512;
  sluice_queue in_front{};
  BoxOptions o;
  o.virtual_time = true;
  make(o);
  lan->program = &in_front;
  lan->ring_size = kRing;
  settle();
  introduce_hosts();
  EXPECT_EQ(in_front.room, kRing);
  EXPECT_EQ(in_front.rest, SLUICE_GATE_REST(kRing)) << "bursts fit";
  for (uint16_t i = 0; i < SLUICE_GATE_REST(kRing); ++i) lan->feed(to_wan(i));
  lan->buffers = port::Occupancy{.used = kRing - SLUICE_GATE_REST(kRing) - 56, .size = kRing};
  turn();
  EXPECT_EQ(in_front.rest, SLUICE_GATE_REST_OVERLOADED(kRing)) << "it was shut";
  EXPECT_EQ(in_front.level, SLUICE_LEVEL_LOOK) << "buffers with frames in them are not missing: the gate is enough";
  lan->buffers = port::Occupancy{};
  while (lan->waiting()) turn();
  EXPECT_EQ(in_front.rest, SLUICE_GATE_REST_OVERLOADED(kRing));
  turn();
  EXPECT_EQ(in_front.rest, 2 * SLUICE_GATE_REST_OVERLOADED(kRing)) << "there was nothing left to do";
  lan->feed(to_wan(1));
  turn();
  EXPECT_EQ(in_front.rest, 2 * SLUICE_GATE_REST_OVERLOADED(kRing));
  pass(Duration::seconds(1));
  EXPECT_EQ(in_front.rest, SLUICE_GATE_REST(kRing));
  EXPECT_EQ(in_front.level, 0u);
}

TEST_F(ShedTest, ABlockedSourceIsDroppedAtLevelNothing) {
  make_router();
  ASSERT_TRUE(box->shed().lists().add({.prefix = *parse_prefix("198.18.1.0/28"), .action = SLUICE_ACTION_BLOCK},
                                      shed::Origin::command));
  for (int i = 0; i < 10; ++i) lan->feed(to_wan(1));
  wan->feed(to_lan(1));
  settle();
  EXPECT_EQ(take_all(*wan), 0u);
  EXPECT_EQ(take_all(*lan), 1u);
  EXPECT_EQ(books(*box).drops(DropReason::shed_block), 10u);
  EXPECT_EQ(count(view(0), SLUICE_DROP_block, SLUICE_CLASS_REST), 10u);
  expect_audit_closed(*box);
}

TEST_F(ShedTest, WrongHintsAreCounted) {
  make_router();
  box->shed().hints().mark(kLanHost, kWanHost, be16::from(77).raw(), be16::from(2000).raw(), wire::kProtoUdp);
  ASSERT_TRUE(box->hold_level({}, kRest));
  settle();
  lan->feed(to_wan(77));
  lan->feed(to_wan(78));
  settle();
  EXPECT_EQ(take_all(*wan), 1u);
  EXPECT_EQ(box->false_hints(), 1u);
}

// ---- TCP

class ShedTcpTest : public ShedTest, public ::testing::WithParamInterface<bool> {
 protected:
  IpAddr own() const { return GetParam() ? own6 : own4; }
  IpAddr host() const { return GetParam() ? host6 : host4; }
  bool established(uint16_t port) {
    return box->shed().hints().marked(host(), own(), be16::from(port).raw(), be16::from(kEcho).raw(), wire::kProtoTcp);
  }
  uint64_t cookies_accepted() {
    uint64_t n = 0;
    box->run_on_stack(0, [&](stack::HostStack& s, apps::Host&) { n = s.tcp().stack().counters().cookies_received; });
    return n;
  }
};
INSTANTIATE_TEST_SUITE_P(Ip, ShedTcpTest, ::testing::Bool(), [](const auto& i) { return i.param ? "v6" : "v4"; });

// A SYN above the rate is answered in front of the stack, under the stack's own keys: the ACK opens the connection.
TEST_P(ShedTcpTest, TheStackTakesConnectionsThatWereAnsweredInFrontOfIt) {
  make_with_tcp();
  serve_echo(*box);
  shed::Policy p;
  p.syn = {1, 1};
  p.syn_always = true;
  ASSERT_TRUE(box->set_shed_policy(p));
  box->shed().set_services({{.addr = own4, .port = kEcho}, {.addr = own6, .port = kEcho}});
  const Frame asks = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 9, 0, 0, 0, 0, 1, 3, 3, 7};
  for (uint16_t port = 40000; port < 40005; ++port)
    feed({.src = host(), .dst = own(), .sport = port, .dport = kEcho, .seq = 1000, .flags = kSyn,
          .options = port % 2 ? asks : Frame{2, 4, 0x05, 0xb4}});
  settle();
  const ShedQueueView v = view(0);
  EXPECT_EQ(count(v, SLUICE_OUT_ANSWERED, SLUICE_CLASS_NEW), 4u);
  expect_audit_closed(*box);
  EXPECT_EQ(connections(0), 1u) << "one by the stack itself";

  std::vector<Segment> answers;
  for (auto s = next(); s; s = next()) answers.push_back(*s);
  ASSERT_EQ(answers.size(), 5u);
  for (const Segment& a : answers) {
    EXPECT_EQ(a.flags & (kSyn | kAck | kRst), kSyn | kAck);
    EXPECT_EQ(a.ack, 1001u);
    Segment ack = reply(a, kAck | kPsh, {'h', 'i'});
    const wire::TcpOptions said = wire::parse_tcp_options(a.options);
    EXPECT_EQ(said.has_timestamps, a.dport % 2 == 1);
    if (said.has_timestamps) {
      ack.options = {1, 1, 8, 10, 0, 0, 0, 10};
      append(ack.options, be32::from(said.ts_val));
    }
    feed(ack);
  }
  settle();
  EXPECT_EQ(connections(0), 5u);
  EXPECT_EQ(cookies_accepted(), 4u);
  unsigned echoed = 0;
  for (auto s = next(); s; s = next()) echoed += s->data == Frame{'h', 'i'};
  EXPECT_EQ(echoed, 5u);
  for (uint16_t port = 40000; port < 40005; ++port) EXPECT_TRUE(established(port)) << port;
  expect_audit_closed(*box);
}

TEST_P(ShedTcpTest, OpenConnectionsAreEstablishedAsLongAsTheyLive) {
  make_with_tcp();
  serve_echo(*box);
  EXPECT_FALSE(established(40000));
  Segment me = handshake(GetParam(), 40000);
  EXPECT_TRUE(established(40000));
  EXPECT_FALSE(established(40001));
  for (int generation = 0; generation < 4; ++generation) {
    box->shed().hints().turn();
    settle();
    EXPECT_TRUE(established(40000)) << generation;
  }
  // Everything but control and established is shed: the connection goes on.
  ASSERT_TRUE(box->hold_level({}, kNew));
  settle();
  me.flags = kAck | kPsh;
  me.data = {'x'};
  feed(me);
  settle();
  Segment it;
  EXPECT_EQ(said(it), me.data);
  feed(reply(it, kRst | kAck));
  settle();
  EXPECT_EQ(connections(0), 0u);
  box->shed().hints().turn();
  settle();
  box->shed().hints().turn();
  settle();
  EXPECT_FALSE(established(40000));
}

}  // namespace
}  // namespace sluice::test
