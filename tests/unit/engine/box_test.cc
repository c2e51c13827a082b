// The box in virtual time: ports, workers, stack and rings together, turned by the test.
#include "../eal_env.h"
#include "box_fixture.h"

namespace sluice::test {
namespace {

using engine::Box;
using engine::BoxOptions;

// ---- whole packets' ways

TEST_F(BoxTest, AnswersArp) {
  make_simulated();
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
  settle();
  const Frame reply = lan->take();
  const auto* a = arp_of(reply);
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->op.host(), 2);
  EXPECT_EQ(a->sha, kLanMac);
  EXPECT_EQ(a->spa, kLanBox);
  EXPECT_EQ(eth_of(reply)->dst, kLanHostMac);
  EXPECT_TRUE(lan->take().empty());
  expect_audit_closed(*box);
}

TEST_F(BoxTest, AnswersPing) {
  make_simulated();
  introduce_hosts();
  lan->feed(echo_request(kLanMac, kLanHostMac, kLanHost, kLanBox));
  settle();
  const Frame reply = lan->take();
  const auto* icmp = icmp_of(reply);
  ASSERT_NE(icmp, nullptr);
  EXPECT_EQ(icmp->type, 0);
  EXPECT_EQ(ip4_of(reply)->dst, kLanHost);
  EXPECT_EQ(eth_of(reply)->dst, kLanHostMac);
  EXPECT_EQ(box->stack_stats().echo_requests, 1u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, ForwardsOnceTheNeighbourAnswers) {
  make_simulated();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  settle();
  const Frame request = wan->take();
  ASSERT_NE(arp_of(request), nullptr) << "the next hop is asked for";
  EXPECT_EQ(arp_of(request)->tpa, kWanHost);
  EXPECT_EQ(box->queued(), 1u) << "the packet waits";
  expect_audit_closed(*box);

  wan->feed(arp(2, kWanHostMac, kWanHost, kWanMac, kWanBox));
  settle();
  const Frame sent = wan->take();
  ASSERT_NE(udp_of(sent), nullptr);
  EXPECT_EQ(eth_of(sent)->dst, kWanHostMac);
  EXPECT_EQ(eth_of(sent)->src, kWanMac);
  EXPECT_EQ(ip4_of(sent)->ttl, 63);
  EXPECT_EQ(box->queued(), 0u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, SaysThatTheTimeToLiveIsUp) {
  make_simulated();
  introduce_hosts();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000, 1));
  settle();
  const Frame error = lan->take();
  const auto* icmp = icmp_of(error);
  ASSERT_NE(icmp, nullptr);
  EXPECT_EQ(icmp->type, 11);
  EXPECT_EQ(ip4_of(error)->src, kLanBox);
  EXPECT_TRUE(wan->take().empty());
  EXPECT_EQ(books(*box).drops(DropReason::ttl_expired), 1u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, GivesUpOnASilentNeighbour) {
  make_simulated();
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
  settle();
  lan->take();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  pass(Duration::seconds(10));
  EXPECT_EQ(box->queued(), 0u);
  EXPECT_EQ(books(*box).drops(DropReason::neighbor_unresolved), 1u);
  bool told = false;
  for (Frame f = lan->take(); !f.empty(); f = lan->take()) told |= icmp_of(f) && icmp_of(f)->type == 3;
  EXPECT_TRUE(told) << "the sender hears of it";
  expect_audit_closed(*box);
}

// ---- full queues, ports that are down

TEST_F(BoxTest, AFullTransmitQueueIsTriedAFewTimes) {
  make_simulated();
  introduce_hosts();
  wan->room = 10;
  for (uint16_t i = 0; i < 64; ++i) lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  settle();
  EXPECT_EQ(wan->sent(), 40u) << "four times ten";
  EXPECT_EQ(books(*box).drops(DropReason::tx_full), 24u);
  EXPECT_EQ(box->worker_account(0).port[0].drops[static_cast<unsigned>(DropReason::tx_full)].get(), 24u)
      << "in the row of the port that they came in through";
  expect_audit_closed(*box);
}

TEST_F(BoxTest, APortThatIsDownIsItsOwnReason) {
  make_simulated();
  introduce_hosts();
  wan->up = false;
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  settle();
  EXPECT_EQ(books(*box).drops(DropReason::port_down), 1u);
  wan->up = true;
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  settle();
  EXPECT_EQ(wan->sent(), 1u) << "it is picked up again";
  expect_audit_closed(*box);
}

TEST_F(BoxTest, AFullRingToTheStackDropsAtOnce) {
  BoxOptions o;
  o.virtual_time = true;
  o.ring_size = 128;
  make(o);
  settle();
  // A turn moves 64 packets from each port to the stack, and the ring has room for 127.
  for (int i = 0; i < 1000; ++i) {
    lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
    if (i < 900) wan->feed(arp(1, kWanHostMac, kWanHost, {}, kWanBox));
  }
  settle();
  EXPECT_GT(books(*box).drops(DropReason::stack_ring_full), 0u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, AFloodOnOnePortDoesNotStarveTheOther) {
  make_simulated();
  introduce_hosts();
  for (int i = 0; i < 900; ++i) lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  wan->feed(udp(kWanMac, kWanHostMac, kWanHost, 2000, kLanHost, 1000));
  box->turn(now);
  EXPECT_EQ(lan->sent(), 1u) << "the other's packet leaves in the same turn";
  EXPECT_GT(lan->waiting(), 0u);
  settle();
  EXPECT_EQ(wan->sent(), 900u);
  expect_audit_closed(*box);
}

// ---- several workers

size_t flows_of(Box& box, unsigned w) {
  size_t n = 0;
  EXPECT_TRUE(box.run_on_worker(w, [&](path::Pipeline& p) { n = p.flows(); }));
  return n;
}

TEST_F(BoxTest, BothDirectionsMeetOnOneWorker) {
  make_simulated(3, {3, 3});
  introduce_hosts();
  bool used[3] = {};
  for (uint16_t i = 0; i < 30; ++i) {
    const auto sport = static_cast<uint16_t>(1000 + i);
    size_t before[3];
    for (unsigned w = 0; w < 3; ++w) before[w] = flows_of(*box, w);
    lan->feed(udp(kLanMac, kLanHostMac, kLanHost, sport, kWanHost, 2000), i % 3u);
    settle();
    wan->feed(udp(kWanMac, kWanHostMac, kWanHost, 2000, kLanHost, sport), (i + 1) % 3u);
    settle();
    unsigned owners = 0;
    for (unsigned w = 0; w < 3; ++w)
      if (flows_of(*box, w) != before[w]) {
        ++owners;
        used[w] = true;
      }
    EXPECT_EQ(owners, 1u) << "flow " << i;
  }
  EXPECT_TRUE(used[0] && used[1] && used[2]) << "and the flows are spread";
  unsigned sent = 0;
  for (unsigned q = 0; q < 3; ++q) sent += static_cast<unsigned>(lan->sent(q) + wan->sent(q));
  EXPECT_EQ(sent, 60u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, SymmetricHardwareNeedsNoSteering) {
  make_simulated(3, {3, 3}, true);
  introduce_hosts();
  for (uint16_t i = 0; i < 30; ++i)
    lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(1000 + i), kWanHost, 2000), 1);
  settle();
  EXPECT_EQ(wan->sent(1), 30u) << "what comes in on a queue stays on its worker";
  EXPECT_EQ(flows_of(*box, 0) + flows_of(*box, 2), 0u);
}

TEST_F(BoxTest, WorkersShareATransmitQueueThroughItsOwner) {
  make_simulated(3, {3, 1});
  introduce_hosts();
  for (uint16_t i = 0; i < 60; ++i)
    lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(1000 + i), kWanHost, 2000), i % 3u);
  settle();
  EXPECT_EQ(wan->sent(), 60u);
  EXPECT_GE(box->worker_account(0).port[1].tx_packets.get(), 60u);
  EXPECT_EQ(box->worker_account(1).port[1].tx_packets.get() + box->worker_account(2).port[1].tx_packets.get(), 0u);
  expect_audit_closed(*box);
}

TEST_F(BoxTest, QueuesBeyondTheWorkersAreServedToo) {
  make_simulated(2, {5, 5});
  introduce_hosts();
  for (unsigned q = 0; q < 5; ++q) lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000), q);
  settle();
  EXPECT_EQ(wan->sent(0) + wan->sent(1), 5u);
  expect_audit_closed(*box);
}

// ---- snapshots, life

TEST_F(BoxTest, ANewSnapshotFreesTheOld) {
  make_simulated();
  std::weak_ptr<const path::Snapshot> first = box->snapshot();
  box->publish(router_snapshot(2));
  EXPECT_TRUE(first.expired());
  EXPECT_EQ(box->snapshot()->id, 2u);
}

TEST_F(BoxTest, TheSameSeedGivesTheSameBytes) {
  std::vector<Frame> runs[2];
  for (auto& sent : runs) {
    make_simulated(2, {2, 2});
    now = Instant{Duration::seconds(200).ns};
    for (uint16_t i = 0; i < 20; ++i)
      lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(i), kWanHost, 2000), i % 2u);
    settle();
    wan->feed(arp(2, kWanHostMac, kWanHost, kWanMac, kWanBox));
    pass(Duration::seconds(2));
    for (unsigned q = 0; q < 2; ++q)
      for (Frame f = wan->take(q); !f.empty(); f = wan->take(q)) sent.push_back(f);
    box->stop();
    box.reset();
    now = Instant{Duration::seconds(100).ns};
  }
  EXPECT_GT(runs[0].size(), 2u);
  EXPECT_EQ(runs[0], runs[1]);
}

TEST_F(BoxTest, WhatWaitsWhenTheBoxStopsIsCounted) {
  make_simulated();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  settle();
  ASSERT_EQ(box->queued(), 1u);
  wan->feed(udp(kWanMac, kWanHostMac, kWanHost, 2000, kLanHost, 1000));
  box->turn(now);  // on its way to the stack, or there
  box->stop();
  EXPECT_EQ(box->queued(), 0u);
  EXPECT_GT(books(*box).drops(DropReason::shutdown), 0u);
  EXPECT_EQ(lan->stopped, 1u);
  EXPECT_FALSE(box->start()) << "a box starts once";
}

TEST_F(BoxTest, AReplayHasNoHostButAccountsForWhatItWouldGet) {
  make_simulated();
  introduce_hosts();
  auto s = std::make_shared<path::Snapshot>(*router_snapshot(2));
  auto ifs = std::make_shared<Interfaces>(*s->interfaces);
  ifs->port[0].exception = {{.proto = wire::kProtoUdp, .dport = 67, .sport = 0, .source = {}}};
  s->interfaces = ifs;
  box->publish(s);
  const uint64_t consumed = books(*box).consumed;
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 68, kLanBox, 67));
  settle();
  EXPECT_EQ(books(*box).consumed, consumed + 1);
  expect_audit_closed(*box);
}

TEST(BoxStart, APortThatDoesNotStartIsAnErrorAndTheOthersAreStopped) {
  FakePort* first = nullptr;
  BoxOptions o;
  o.ports = {{.name = "lan", .index = 0}, {.name = "wan", .index = 1}};
  o.worker_cpus = {0};
  o.packets = 1024;
  o.huge_pages = false;
  o.pipeline.flows4 = o.pipeline.flows6 = 1024;
  o.open_port = [&](const port::Options& p, PacketPool& pool) -> Result<std::unique_ptr<port::Port>> {
    auto made = std::make_unique<FakePort>(p.index, p.name, kLanMac, 1, 1, pool);
    if (p.index == 0) first = made.get();
    else made->start_error = "wan is gone";
    return std::unique_ptr<port::Port>(std::move(made));
  };
  auto made = Box::create(o);
  ASSERT_TRUE(made) << made.error();
  (*made)->publish(router_snapshot());
  const Status s = (*made)->start();
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error(), "wan is gone");
  EXPECT_EQ(first->stopped, 1u);
  EXPECT_FALSE((*made)->running());
}

TEST(BoxCreate, RefusesWhatCannotBe) {
  BoxOptions o;
  o.ports = {{.name = "lan"}};
  const auto error = [&] {
    auto made = Box::create(o);
    return made ? std::string() : made.error();
  };
  EXPECT_NE(error().find("worker"), std::string::npos);
  o.worker_cpus = {0};
  o.ring_size = 1000;
  EXPECT_NE(error().find("power of two"), std::string::npos);
  o.ring_size = 512;
  o.ports.clear();
  EXPECT_NE(error().find("port"), std::string::npos);
  o.ports.resize(kMaxPorts + 1);
  EXPECT_NE(error().find("more than"), std::string::npos);
}

TEST(BoxCreate, NeedsASnapshotToStart) {
  BoxOptions o;
  o.ports = {{.name = "lan"}};
  o.worker_cpus = {0};
  o.huge_pages = false;
  o.pipeline.flows4 = o.pipeline.flows6 = 1024;
  o.packets = 1024;
  o.open_port = [](const port::Options& p, PacketPool& pool) -> Result<std::unique_ptr<port::Port>> {
    return std::unique_ptr<port::Port>(std::make_unique<FakePort>(p.index, p.name, kLanMac, 1, 1, pool));
  };
  auto made = Box::create(o);
  ASSERT_TRUE(made) << made.error();
  const Status s = (*made)->start();
  ASSERT_FALSE(s);
  EXPECT_NE(s.error().find("snapshot"), std::string::npos);
}

}  // namespace
}  // namespace sluice::test
