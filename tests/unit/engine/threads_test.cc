// The box in threads: its own lcores, sleeps, wake-ups, snapshots under way. Every wait is for a condition.
#include <sched.h>

#include <latch>
#include <thread>

#include "../eal_env.h"
#include "apps/host.h"
#include "apps/small.h"
#include "box_fixture.h"
#include "tcp_frames.h"

namespace sluice::test {
namespace {

using engine::BoxOptions;
using engine::nap_until;

std::vector<unsigned> two_cpus() {
  return {0, static_cast<unsigned>(std::thread::hardware_concurrency() > 1)};
}

class ThreadsTest : public BoxTest {
 protected:
  void introduce() {
    lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
    wan->feed(arp(1, kWanHostMac, kWanHost, {}, kWanBox));
    await_arp_reply(*lan, kLanHost);
    await_arp_reply(*wan, kWanHost);
  }
  // Announcements go out as well.
  void await_arp_reply(FakePort& p, Ip4 to) {
    while (true) {
      const Frame f = wait_any(p);
      ASSERT_FALSE(f.empty());
      const auto* a = arp_of(f);
      if (a && a->op.host() == 2 && a->tpa == to) return;
    }
  }
  Frame wait_any(FakePort& p) {
    Frame f;
    const unsigned queues = p.info().tx_queues;
    nap_until(
        [&] {
          for (unsigned q = 0; q < queues && f.empty(); ++q) f = p.take(q);
          return !f.empty();
        },
        kLong);
    return f;
  }
  Frame wait_udp(FakePort& p) {
    while (true) {
      Frame f = wait_any(p);
      if (f.empty() || udp_of(f)) return f;
    }
  }
  // At rest: the books are read when nothing has moved for some turns.
  void expect_closed_soon() {
    EXPECT_TRUE(nap_until(
        [&] {
          const Books b = books(*box);
          return b.in == b.out + b.consumed + b.dropped + box->queued();
        },
        kLong));
  }
};

// A level keeps nobody awake by itself, and each engine's part of the core is seen.
TEST_F(ThreadsTest, SleepsUnderAHeldLevelAndTellsEachEnginesShare) {
  make(BoxOptions{});
  introduce();
  ASSERT_TRUE(box->hold_level({}, 100));
  ASSERT_TRUE(nap_until([&] { return box->shed_queues()[0].level == 100 && box->shed_queues()[1].level == 100; }, kLong));
  const uint64_t sleeps = box->lcores()[0].sleeps;
  ASSERT_TRUE(nap_until([&] { return box->lcores()[0].sleeps > sleeps + 3; }, kLong));
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
  await_arp_reply(*lan, kLanHost);
  ASSERT_TRUE(box->hold_level({}, {}));
  ASSERT_TRUE(nap_until([&] { return box->shed_queues()[0].level == 0; }, kLong));
  const auto engines = [&] { return box->lcores()[0].engines; };
  ASSERT_EQ(engines().size(), 2u);
  EXPECT_EQ(engines()[0].name, "worker 0");
  EXPECT_EQ(engines()[1].name, "stack");
  EXPECT_TRUE(nap_until([&] { return engines()[0].share > 0 && engines()[1].share > 0; }, kLong));
  EXPECT_LE(engines()[0].share + engines()[1].share, 1.01);
}

// A flood is answered by a level, and its end by sleep.
TEST_F(ThreadsTest, AfterAFloodTheLevelFallsAndItSleeps) {
  make(BoxOptions{});
  introduce();
  lan->buffers = port::Occupancy{.used = 0, .size = 512};
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  ASSERT_TRUE(nap_until([&] { return box->shed_queues()[0].level > 0; }, kLong));
  EXPECT_EQ(box->shed_queues()[1].level, 0u);
  lan->buffers = port::Occupancy{.used = 512, .size = 512};
  ASSERT_TRUE(nap_until([&] { return box->shed_queues()[0].level == 0; }, kLong));
  const uint64_t turns = box->lcores()[0].turns, sleeps = box->lcores()[0].sleeps;
  ASSERT_TRUE(nap_until([&] { return box->lcores()[0].sleeps > sleeps + 5; }, kLong));
  EXPECT_LT(box->lcores()[0].turns - turns, 10000u) << "it goes on turning for nothing";
}

TEST_F(ThreadsTest, ForwardsAndSleeps) {
  BoxOptions o;
  make(o);
  introduce();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  EXPECT_NE(udp_of(wait_udp(*wan)), nullptr);
  // It sleeps when nothing comes, and a frame wakes it.
  for (int i = 0; i < 5; ++i) {
    const uint64_t sleeps = box->lcores()[0].sleeps;
    ASSERT_TRUE(nap_until([&] { return box->lcores()[0].sleeps > sleeps; }, kLong));
    lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
    EXPECT_NE(udp_of(wait_udp(*wan)), nullptr);
  }
  const auto view = box->lcores()[0];
  EXPECT_EQ(view.role, "worker 0, stack");
  EXPECT_GE(view.packets, 8u);
  EXPECT_GT(view.tid, 0u);
  expect_closed_soon();
}

TEST_F(ThreadsTest, WithoutDescriptorsItLooksForItself) {
  BoxOptions o;
  make(o);
  lan->sleepable = false;
  wan->sleepable = false;
  introduce();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  EXPECT_NE(udp_of(wait_udp(*wan)), nullptr);
  expect_closed_soon();
}

TEST_F(ThreadsTest, WorkersAndStackOnLcoresOfTheirOwn) {
  BoxOptions o;
  o.worker_cpus = {two_cpus()[1], two_cpus()[1], two_cpus()[1]};
  o.stack_cpus = {0};
  if (two_cpus()[1] == 0) GTEST_SKIP() << "needs two CPUs";
  make(o, {3, 2});
  ASSERT_EQ(box->lcores().size(), 4u);
  EXPECT_EQ(box->lcores()[3].role, "stack");
  introduce();
  constexpr unsigned kPackets = 300;
  for (uint16_t i = 0; i < kPackets; ++i)
    lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(1000 + i % 50), kWanHost, 2000), i % 3u);
  for (unsigned i = 0; i < kPackets; ++i) ASSERT_NE(udp_of(wait_udp(*wan)), nullptr) << "after " << i;
  expect_closed_soon();
}

TEST_F(ThreadsTest, TcpOnSeveralStackEngines) {
  constexpr uint8_t kSyn = wire::kTcpSyn, kAck = wire::kTcpAck;
  constexpr uint16_t kEcho = 7;
  BoxOptions o;
  o.worker_cpus = {two_cpus()[1]};
  o.stack_cpus = two_cpus();
  make(o);
  introduce();
  std::vector<std::unique_ptr<apps::Echo>> services;
  for (unsigned e = 0; e < box->stacks(); ++e) {
    apps::ServiceConfig c;
    c.listen.resize(1);
    c.listen[0].port = kEcho;
    c.connections = 64;
    services.push_back(std::make_unique<apps::Echo>(c, 0, nullptr));
    apps::Update u;
    u.start = {services.back().get()};
    ASSERT_TRUE(box->run_on_stack(e, [&](stack::HostStack&, apps::Host& h) { EXPECT_TRUE(h.submit(&u)); }));
    ASSERT_TRUE(nap_until([&] { return u.taken(); }, kLong));
  }
  const auto next = [&] {
    while (true) {
      const Frame f = wait_any(*lan);
      if (f.empty()) return std::optional<Segment>();
      if (auto s = segment_of(f)) return s;
    }
  };
  Segment s{.src = kLanHost, .dst = kLanBox, .dport = kEcho};
  for (uint16_t port = 40000; port < 40030; ++port) {
    s.sport = port, s.seq = 1000, s.ack = 0, s.flags = kSyn, s.data.clear();
    lan->feed(tcp_frame(kLanMac, kLanHostMac, s));
    const auto answer = next();
    ASSERT_TRUE(answer);
    ASSERT_EQ(answer->flags & (kSyn | kAck), kSyn | kAck);
    s.seq = 1001, s.ack = answer->seq + 1, s.flags = kAck, s.data.assign(100, static_cast<uint8_t>(port));
    lan->feed(tcp_frame(kLanMac, kLanHostMac, s));
    auto echo = next();
    while (echo && echo->data.empty()) echo = next();
    ASSERT_TRUE(echo);
    EXPECT_EQ(echo->data, s.data);
    s.seq += 100, s.ack = echo->seq + 100, s.data.clear();
    lan->feed(tcp_frame(kLanMac, kLanHostMac, s));
  }
  uint32_t connections[2] = {};
  for (unsigned e = 0; e < box->stacks(); ++e)
    box->run_on_stack(e, [&](stack::HostStack& h, apps::Host&) { connections[e] = h.tcp().stack().sizes().connections; });
  EXPECT_EQ(connections[0] + connections[1], 30u);
  EXPECT_TRUE(connections[0] && connections[1]);
  // Nothing comes any more, and the lcores sleep: the timer of a SYN-ACK wakes its own.
  s.sport = 50000, s.seq = 1, s.flags = kSyn;
  lan->feed(tcp_frame(kLanMac, kLanHostMac, s));
  const auto first = next(), again = next();
  ASSERT_TRUE(first && again);
  EXPECT_EQ(again->flags & (kSyn | kAck), kSyn | kAck);
  EXPECT_EQ(again->seq, first->seq);
  expect_closed_soon();
  // The peers are silent: each is told of the end, and reset when it has not answered.
  box->stop();
  unsigned resets = 0;
  for (Frame f = lan->take(); !f.empty(); f = lan->take())
    if (const auto told = segment_of(f)) resets += told->has(wire::kTcpRst);
  EXPECT_EQ(resets, 30u);
}

TEST_F(ThreadsTest, NoPacketIsLostWhileSnapshotsChange) {
  BoxOptions o;
  o.worker_cpus = {two_cpus()[1]};
  make(o);
  introduce();
  constexpr unsigned kPackets = 2000;
  unsigned fed = 0, got = 0;
  uint32_t generation = 1;
  while (got < kPackets) {
    for (; fed < kPackets && fed - got < 100; ++fed)
      lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(fed % 16), kWanHost, 2000));
    std::weak_ptr<const path::Snapshot> old = box->snapshot();
    box->publish(router_snapshot(++generation));
    EXPECT_TRUE(old.expired()) << "freed when publish returns";
    ASSERT_NE(udp_of(wait_udp(*wan)), nullptr) << "after " << got;
    ++got;
    for (Frame f = wan->take(); !f.empty(); f = wan->take()) got += udp_of(f) != nullptr;
  }
  EXPECT_EQ(got, kPackets);
  expect_closed_soon();
  EXPECT_EQ(books(*box).dropped, 0u);
}

TEST_F(ThreadsTest, RunsOnTheWorkerBetweenTurns) {
  BoxOptions o;
  make(o);
  introduce();
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 1000, kWanHost, 2000));
  ASSERT_NE(udp_of(wait_udp(*wan)), nullptr);
  size_t flows = 0;
  pid_t tid = 0;
  ASSERT_TRUE(box->run_on_worker(0, [&](path::Pipeline& p) {
    flows = p.flows();
    tid = gettid();
  }));
  EXPECT_GT(flows, 0u);
  EXPECT_EQ(static_cast<uint64_t>(tid), box->lcores()[0].tid);
  EXPECT_FALSE(box->run_on_worker(7, [](path::Pipeline&) {}));
}

TEST_F(ThreadsTest, TheWatchdogReportsOnceAndRecovery) {
  BoxOptions o;
  make(o);
  std::latch blocked(1), go(1);
  std::atomic<bool> once{false};
  lan->on_rx = [&](rte_mbuf**, unsigned) {
    if (once.exchange(true)) return;
    blocked.count_down();
    go.wait();
  };
  lan->feed(arp(1, kLanHostMac, kLanHost, {}, kLanBox));
  blocked.wait();
  unsigned reports = 0;
  const auto look = [&](const char* what) {
    for (const auto& e : box->maintain()) reports += e.text.find(what) != std::string::npos;
    return reports > 0;
  };
  EXPECT_TRUE(nap_until([&] { return look("has not turned"); }, kLong));
  look("has not turned");
  EXPECT_EQ(reports, 1u);
  EXPECT_FALSE(box->run_on_worker(0, [](path::Pipeline&) {}));
  std::weak_ptr<const path::Snapshot> old = box->snapshot();
  box->publish(router_snapshot(2));
  EXPECT_FALSE(old.expired()) << "the lcore may still use it";
  go.count_down();
  reports = 0;
  EXPECT_TRUE(nap_until([&] { return look("turns again"); }, kLong));
  EXPECT_TRUE(nap_until([&] { return box->maintain(), old.expired(); }, kLong));
}

TEST_F(ThreadsTest, APortMayWaitForTheLcores) {
  BoxOptions o;
  make(o);
  lan->on_maintain = [&](const std::function<void()>& quiesce) {
    const uint64_t before = box->lcores()[0].turns;
    quiesce();
    EXPECT_GT(box->lcores()[0].turns, before);
    return std::vector<port::Event>{{port::Event::Level::info, "lan was opened again"}};
  };
  const auto events = box->maintain();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].text, "lan was opened again");
}

TEST_F(ThreadsTest, MeasuresWakeUpsWhileItSleeps) {
  BoxOptions o;
  make(o);
  EXPECT_TRUE(nap_until([&] { return box->maintain(), box->lcores()[0].wake_p50_ns >= 0; }, kLong));
  const auto v = box->lcores()[0];
  EXPECT_LE(v.wake_p50_ns, v.wake_p99_ns);
}

// A snapshot with an exception on lan for everything that is UDP to port 67.
std::shared_ptr<const path::Snapshot> snapshot_with_exception(uint32_t generation) {
  auto s = std::make_shared<path::Snapshot>(*router_snapshot(generation));
  auto ifs = std::make_shared<Interfaces>(*s->interfaces);
  ifs->port[0].exception = {{.proto = wire::kProtoUdp, .dport = 67, .sport = 0, .source = {}}};
  s->interfaces = ifs;
  return s;
}

TEST_F(ThreadsTest, ChosenTrafficGoesToTheHostAndBack) {
  BoxOptions o;
  FakePort* tap = nullptr;
  unsigned opened = 0;
  o.open_tap = [&](const std::string& name, const Mac& m, uint16_t, PacketPool& pool) {
    EXPECT_EQ(name, "lan");
    auto made = std::make_unique<FakePort>(uint16_t{0}, name, m, 1, 1, pool);
    tap = made.get();
    ++opened;
    return Result<std::unique_ptr<port::Port>>(std::move(made));
  };
  make(o);
  EXPECT_EQ(opened, 0u) << "no exception, no TAP";
  introduce();
  box->publish(snapshot_with_exception(2));
  ASSERT_EQ(opened, 1u);
  EXPECT_EQ(tap->started, 1u);

  const Frame to_host = udp(kLanMac, kLanHostMac, kLanHost, 68, kLanBox, 67);
  lan->feed(to_host);
  EXPECT_EQ(wait_any(*tap), to_host) << "whole and unchanged";
  const Frame from_host = udp(kLanHostMac, kLanMac, kLanBox, 67, kLanHost, 68);
  tap->feed(from_host);
  EXPECT_EQ(wait_udp(*lan), from_host);
  expect_closed_soon();

  box->publish(snapshot_with_exception(3));
  EXPECT_EQ(opened, 1u) << "it stays while it is wanted";
  box->publish(router_snapshot(4));
  lan->feed(to_host);
  EXPECT_NE(icmp_of(wait_any(*lan)), nullptr) << "without it, nobody listens on that port";
}

TEST_F(ThreadsTest, ATapThatCannotBeMadeIsToldAndTheBoxRunsOn) {
  BoxOptions o;
  o.open_tap = [](const std::string&, const Mac&, uint16_t, PacketPool&) -> Result<std::unique_ptr<port::Port>> {
    return Error{"no /dev/net/tun"};
  };
  make(o);
  introduce();
  box->publish(snapshot_with_exception(2));
  const auto events = box->maintain();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_NE(events[0].text.find("no /dev/net/tun"), std::string::npos);
  lan->feed(udp(kLanMac, kLanHostMac, kLanHost, 68, kLanBox, 67));
  EXPECT_TRUE(nap_until([&] { return books(*box).drops(DropReason::exception_full) == 1; }, kLong));
}

TEST_F(ThreadsTest, StopsUnderTrafficWithoutALeak) {
  BoxOptions o;
  o.worker_cpus = {two_cpus()[1], 0};
  make(o, {2, 1});
  introduce();
  std::atomic<bool> done{false};
  std::thread sender([&] {
    for (unsigned i = 0; !done && i < 1000; ++i) {
      lan->feed(udp(kLanMac, kLanHostMac, kLanHost, static_cast<uint16_t>(i), kWanHost, 2000), i % 2);
      if (i % 10 == 0) std::this_thread::yield();
    }
  });
  EXPECT_NE(udp_of(wait_udp(*wan)), nullptr);
  done = true;
  sender.join();
  box->stop();
  EXPECT_FALSE(box->running());
  EXPECT_EQ(box->queued(), 0u);
  EXPECT_EQ(box->pool().in_use(), 0u);
}

}  // namespace
}  // namespace sluice::test
