#include <map>

#include "tests/unit/stack/lab.h"

namespace sluice::test {
namespace {

class NeighborTest : public Lab {
 public:
  const std::string a = "198.18.2.10";

  void make_reachable(const std::string& addr = "198.18.2.10", const Mac& m = kPeer) {
    resolve(addr, 1);
    arp_reply(addr, m, 1);
    out.clear();
    ASSERT_EQ(state(addr, 1), NeighborState::reachable);
  }
  // Requests for `addr` among what came out, which is thrown away.
  unsigned requests(const std::string& addr, std::optional<Mac> to = {}) {
    unsigned n = 0;
    for (const Sent& s : out) n += s.arp(1) && tail(head(s.frame, 42), 38) == of(a4(addr)) && (!to || s.dst() == *to);
    out.clear();
    return n;
  }
};

TEST_F(NeighborTest, AsksAndSendsWhatWaitedInOrder) {
  for (uint8_t i = 1; i <= 3; i++) resolve(a, 1, i);
  EXPECT_EQ(stack->held(), 3u);
  const Sent ask = take();
  EXPECT_TRUE(ask.arp(1));
  EXPECT_EQ(ask.meta.egress, 1);
  EXPECT_EQ(ask.meta.worker, 0);
  EXPECT_EQ(ask.dst(), kBroadcast);
  EXPECT_EQ(tail(ask.frame, 22), of(mac_of_port(1)) + of(a4("198.18.2.1")) + zeros(6) + of(a4(a)) + zeros(18));
  nothing();
  arp_reply(a, kPeer, 1);
  for (unsigned i = 1; i <= 3; i++) {
    const Sent s = take();
    EXPECT_EQ(s.kind(), RingKind::transmit);
    EXPECT_EQ(s.meta.egress, 1);
    EXPECT_EQ(s.meta.worker, kWorker);
    EXPECT_EQ(s.dst(), kPeer);
    EXPECT_EQ(s.src(), mac_of_port(1));
    EXPECT_EQ(get16(s.frame, 18), i);
  }
  EXPECT_EQ(stack->held(), 0u);
  resolve(a, 1, 4);  // a worker that has not seen the entry yet
  EXPECT_EQ(take().dst(), kPeer);
}

TEST_F(NeighborTest, TheQueueIsBoundedAndTheOldestGoes) {
  for (unsigned i = 0; i < 40; i++) resolve(a, 1, static_cast<uint8_t>(i));
  EXPECT_EQ(stack->held(), ifs.timers.queue_packets);
  EXPECT_EQ(drops(DropReason::neighbor_queue_full), 24u);
  EXPECT_EQ(requests(a), 1u);
  arp_reply(a, kPeer, 1);
  EXPECT_EQ(get16(take().frame, 18), 24u);
  out.clear();
}

TEST_F(NeighborTest, AllQueuesTogetherLeaveMostOfThePool) {
  for (unsigned n = 2; n < 250; n++)
    for (unsigned i = 0; i < 16; i++) resolve("198.18.2." + std::to_string(n), 1);
  EXPECT_LE(stack->held(), pool_->size() / 8);
  out.clear();
}

TEST_F(NeighborTest, GivesUpAndSaysSo) {
  resolve(a, 1, 1);
  const Instant asked = now;
  advance(Duration::millis(2900));
  EXPECT_EQ(requests(a), 3u);
  advance(Duration::millis(200));
  const Sent s = take();
  EXPECT_EQ(s.kind(), RingKind::refuse);
  EXPECT_EQ(s.meta.icmp_type, 3);
  EXPECT_EQ(s.meta.icmp_code, 1);
  EXPECT_EQ(s.meta.reason, DropReason::neighbor_unresolved);
  EXPECT_EQ(s.meta.worker, kWorker);
  EXPECT_EQ(now - asked, Duration::millis(3100));
  EXPECT_EQ(state(a, 1), NeighborState::failed);
  EXPECT_EQ(stack->stats().neighbors_failed, 1u);
  nothing();

  resolve("2001:db8:2::10", 1);
  advance(Duration::millis(3100));
  EXPECT_EQ(out.back().meta.icmp_type, 1);
  EXPECT_EQ(out.back().meta.icmp_code, 3);
  EXPECT_EQ(stack->stats().ns_sent, 3u);
}

TEST_F(NeighborTest, ThePacketsOfTheBoxItselfAreDroppedQuietly) {
  in(eth(ip4({.src = "198.18.1.10", .dst = "198.18.1.1", .proto = 1}, icmp(8, 0)), 0x800));
  Sent reply = take();
  rte_mbuf* m = buffer(reply.frame, RTE_MBUF_PORT_INVALID);
  account.box.created.add(1);
  stash(m) = reply.meta;
  stash(m).kind = RingKind::resolve;
  stash(m).egress = 0;
  stash(m).next_hop = a4("198.18.1.10");
  stack->receive(ifs, now, &m, 1, *this);
  EXPECT_EQ(stack->held(), 1u);
  advance(Duration::seconds(4));
  EXPECT_EQ(requests("198.18.1.10"), 3u);
  EXPECT_EQ(box_drops(DropReason::neighbor_unresolved), 1u);
}

TEST_F(NeighborTest, AFailedNeighbourIsHeldDownAndComesBackSoon) {
  resolve(a, 1);
  advance(Duration::millis(3001));
  ASSERT_EQ(state(a, 1), NeighborState::failed);
  out.clear();
  resolve(a, 1);
  EXPECT_EQ(take().kind(), RingKind::refuse);
  nothing();
  // Comes to life now; a packet every 0.2 s.
  const Instant alive = now;
  bool back = false;
  unsigned asked = 0;
  while (!back && now - alive < Duration::seconds(4)) {
    advance(Duration::millis(200));
    resolve(a, 1);
    while (!out.empty()) {
      const Sent s = take();
      if (!s.arp(1)) continue;
      asked++;
      arp_reply(a, kPeer, 1);
      back = true;
    }
  }
  EXPECT_TRUE(back);
  EXPECT_EQ(asked, 1u);
  EXPECT_LE(now - alive, Duration::seconds(2));
  EXPECT_EQ(mac(a, 1), kPeer);
}

TEST_F(NeighborTest, ADeadNeighbourDrawsAtMostOneRequestASecond) {
  unsigned asked = 0;
  for (int i = 0; i < 300; i++) {  // 30 s
    resolve(a, 1);
    asked += requests(a);
    advance(Duration::millis(100));
    asked += requests(a);
  }
  EXPECT_LE(asked, 31u);
  EXPECT_GE(asked, 15u);
}

TEST_F(NeighborTest, ReachableIsJitteredBetweenHalfAndOneAndAHalf) {
  ifs.timers.reachable = Duration::seconds(10);
  std::map<int64_t, int> seen;
  for (unsigned n = 10; n < 40; n++) make_reachable("198.18.2." + std::to_string(n));
  const Instant t0 = now;
  for (int s = 0; s < 17; s++) {
    advance(Duration::seconds(1));
    int stale = 0;
    for (unsigned n = 10; n < 40; n++) stale += state("198.18.2." + std::to_string(n), 1) == NeighborState::stale;
    seen[(now - t0).ms() / 1000] = stale;
  }
  EXPECT_EQ(seen[4], 0);
  EXPECT_EQ(seen[17], 30);
  EXPECT_GT(seen[10], 3);
  EXPECT_LT(seen[10], 27);
}

TEST_F(NeighborTest, UseOfAStaleEntryLeadsToAProbeWhilePacketsFlow) {
  ifs.timers.reachable = Duration::seconds(10);
  make_reachable();
  advance(Duration::seconds(20));
  ASSERT_EQ(state(a, 1), NeighborState::stale);
  advance(Duration::seconds(60));
  EXPECT_EQ(state(a, 1), NeighborState::stale);  // nobody uses it: nobody is asked
  EXPECT_EQ(requests(a), 0u);
  touch(a, 1);
  advance(Duration::millis(1100));
  EXPECT_EQ(state(a, 1), NeighborState::delay);
  EXPECT_EQ(mac(a, 1), kPeer);
  EXPECT_EQ(requests(a), 0u);
  advance(Duration::seconds(5));
  EXPECT_EQ(state(a, 1), NeighborState::probe);
  EXPECT_EQ(mac(a, 1), kPeer);
  EXPECT_EQ(requests(a, kPeer), 1u);
  arp_reply(a, kPeer, 1);
  EXPECT_EQ(state(a, 1), NeighborState::reachable);
}

TEST_F(NeighborTest, ASilentMoveIsFoundByProbing) {
  ifs.timers.reachable = Duration::seconds(4);
  make_reachable();
  const Instant moved = now;
  unsigned unicast = 0, broadcast = 0;
  while (mac(a, 1) != kOther && now - moved < Duration::seconds(45)) {
    if (mac(a, 1)) touch(a, 1);
    else resolve(a, 1);
    advance(Duration::millis(300));
    while (!out.empty()) {
      const Sent s = take();
      if (!s.arp(1)) continue;
      unicast += s.dst() == kPeer;
      if (s.dst() != kBroadcast) continue;
      broadcast++;
      arp_reply(a, kOther, 1);
    }
  }
  EXPECT_EQ(mac(a, 1), kOther);
  EXPECT_EQ(unicast, 3u);
  EXPECT_EQ(broadcast, 1u);
  EXPECT_LE(now - moved, Duration::seconds(17));
  out.clear();
}

TEST_F(NeighborTest, ProbesOfIp6AreUnicast) {
  ifs.timers.reachable = Duration::seconds(4);
  resolve("2001:db8:2::10", 1);
  na({.src = "2001:db8:2::10", .dst = "2001:db8:2::1", .target = "2001:db8:2::10", .options = option_mac(2, kPeer), .flags = kSolicited}, 1);
  advance(Duration::seconds(8));
  touch("2001:db8:2::10", 1);
  advance(Duration::seconds(6));
  ASSERT_TRUE(out.back().nd(135));
  EXPECT_EQ(out.back().dst(), kPeer);
  EXPECT_EQ(tail(head(out.back().frame, 54), 38), of(a6("2001:db8:2::10")));
}

TEST_F(NeighborTest, UnusedEntriesAreForgotten) {
  ifs.timers.gc_stale = Duration::seconds(60);
  make_reachable();
  advance(Duration::seconds(120));
  EXPECT_EQ(state(a, 1), NeighborState::free);
  EXPECT_EQ(table->size(), 0u);
  advance(Duration::seconds(2));
  EXPECT_EQ(stack->next_deadline(), Instant::never());
}

TEST_F(NeighborTest, AFailedEntryIsForgotten) {
  resolve(a, 1);
  advance(Duration::seconds(30));
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NeighborTest, IdleMeansOneLookASecondAtMost) {
  for (unsigned n = 10; n < 30; n++) make_reachable("198.18.2." + std::to_string(n));
  wakeups = 0;
  advance(Duration::seconds(100));
  EXPECT_LE(wakeups, 101u);
}

TEST_F(NeighborTest, StaticEntriesNeedNoAnswerAndNoTimer) {
  ifs.neighbors = {{1, a4(a), kPeer}};
  ifs.generation++;
  tick();
  EXPECT_EQ(state(a, 1), NeighborState::permanent);
  resolve(a, 1);
  EXPECT_EQ(take().dst(), kPeer);
  arp_reply(a, kOther, 1);
  in(arp_frame(1, kOther, a, {}, "198.18.2.1", kBroadcast, kOther), 1);
  out.clear();
  EXPECT_EQ(mac(a, 1), kPeer);
  advance(Duration::seconds(5000));
  EXPECT_EQ(mac(a, 1), kPeer);
  EXPECT_EQ(stack->next_deadline(), Instant::never());
  ifs.neighbors.clear();
  ifs.generation++;
  tick();
  EXPECT_EQ(table->size(), 0u);
}

TEST_F(NeighborTest, AScanLeavesResolvedNeighboursAlone) {
  config.max_incomplete = 100;
  start();
  make_reachable();
  uint64_t asked0 = stack->stats().arp_requests_sent;
  for (int round = 0; round < 50; round++) {
    for (unsigned n = 20; n < 250; n++) resolve("198.18.2." + std::to_string(n), 1);
    advance(Duration::millis(100));
    EXPECT_EQ(mac(a, 1), kPeer);
  }
  const uint64_t asked = stack->stats().arp_requests_sent - asked0;
  EXPECT_LE(asked, 5u * config.arp_requests_per_second + config.arp_requests_per_second / 4 + 1);
  EXPECT_LE(table->size(), 101u);
  out.clear();
  // A new host is found in spite of it.
  resolve("198.18.2.251", 1);
  advance(Duration::millis(500));
  EXPECT_GE(requests("198.18.2.251"), 1u);
}

TEST_F(NeighborTest, RepeatedRequestsLeaveRoomForFirstOnes) {
  for (unsigned n = 20; n < 220; n++) resolve("198.18.2." + std::to_string(n), 1);
  for (unsigned n = 230; n < 240; n++) {
    advance(Duration::millis(250));
    out.clear();
    const std::string fresh = "198.18.2." + std::to_string(n);
    resolve(fresh, 1);
    const unsigned asked = requests(fresh);
    if (n >= 234) {
      EXPECT_EQ(asked, 1u) << n;  // the first second belongs to the scan's own first requests
    }
  }
}

TEST_F(NeighborTest, WhenTheTableIsFullTheUselessGoFirst) {
  neighbors = 64;
  start();
  make_reachable();
  for (unsigned n = 20; n < 83; n++) in(arp_frame(1, kOther, "198.18.2." + std::to_string(n), {}, "198.18.2.1", kBroadcast, kOther), 1);
  ASSERT_EQ(table->size(), 64u);
  for (unsigned n = 100; n < 140; n++) {
    resolve("198.18.2." + std::to_string(n), 1);
    arp_reply("198.18.2." + std::to_string(n), kPeer, 1);
    EXPECT_EQ(mac("198.18.2." + std::to_string(n), 1), kPeer);
  }
  EXPECT_EQ(mac(a, 1), kPeer);
  out.clear();
}

TEST_F(NeighborTest, APortThatIsGoneTakesItsNeighboursAlong) {
  make_reachable();
  resolve("198.18.2.11", 1);
  ifs.port[1].configured = false;
  ifs.generation++;
  tick();
  EXPECT_EQ(table->size(), 0u);
  EXPECT_EQ(stack->held(), 0u);
  out.clear();
  resolve(a, 1);
  nothing();
  EXPECT_EQ(drops(DropReason::port_down), 1u);
}

TEST_F(NeighborTest, RequestsStopWhenThePoolIsEmptyAndGoOnAfterwards) {
  std::vector<rte_mbuf*> hoard;
  resolve(a, 1);
  out.clear();
  while (rte_mbuf* m = rte_pktmbuf_alloc(pool_->mempool())) hoard.push_back(m);
  advance(Duration::millis(1500));
  EXPECT_EQ(requests(a), 0u);
  for (rte_mbuf* m : hoard) rte_pktmbuf_free(m);
  advance(Duration::millis(1000));
  EXPECT_EQ(requests(a), 1u);
  EXPECT_EQ(box_drops(DropReason::no_buffer), 1u);
}

}  // namespace
}  // namespace sluice::test
