// What keeps an lcore from sleeping: every ring and queue that its engines read.
#include "box_fixture.h"
#include "engine/stack_engine.h"
#include "engine/worker.h"

namespace sluice::test {
namespace {

using engine::WaitSet;

class ArmTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = PacketPool::create("arm_test", {.packets = 1024, .huge_pages = false});
    ASSERT_TRUE(made) << made.error();
    pool = std::move(*made);
    for (uint16_t i = 0; i < 2; ++i)
      ports.push_back(std::make_unique<FakePort>(i, i ? "wan" : "lan", i ? kWanMac : kLanMac, 1, 1, *pool));
    const std::vector<engine::Bell*> bells = {&bell[0], &bell[1]};
    wiring = std::make_unique<engine::Wiring>(ports, bells, std::vector{&bell[0], &bell[0]}, 128, HashKey{});
    path::PipelineConfig c;
    c.workers = 2;
    c.flows4 = c.flows6 = 1024;
    auto shed_made = shed::Shed::create({}, false);
    ASSERT_TRUE(shed_made) << shed_made.error();
    shed = std::move(*shed_made);
    worker = std::make_unique<engine::Worker>(0, *wiring, c, neighbors, pool->mempool(), *shed, true);
    stack = std::make_unique<engine::StackEngine>(*wiring, stack::StackConfig{}, neighbors, pool->mempool(), false);
  }
  bool arms(engine::Engine& e) {
    set.fds.clear();
    const bool quiet = e.arm(set);
    e.disarm();
    return quiet;
  }
  // With a packet on this ring, `e` must not sleep.
  void expect_awake_for(engine::Handoff& ring, engine::Engine& e) {
    ASSERT_TRUE(arms(e));
    rte_mbuf* m = rte_pktmbuf_alloc(pool->mempool());
    ASSERT_EQ(ring.send(&m, 1), 1u);
    EXPECT_FALSE(arms(e));
    ASSERT_EQ(ring.receive(&m, 1), 1u);
    rte_pktmbuf_free(m);
    EXPECT_TRUE(arms(e));
  }

  std::unique_ptr<PacketPool> pool;
  std::vector<std::unique_ptr<port::Port>> ports;
  engine::Bell bell[2];
  NeighborTable neighbors{64, HashKey{}};
  std::unique_ptr<engine::Wiring> wiring;
  std::unique_ptr<shed::Shed> shed;
  std::unique_ptr<engine::Worker> worker;
  std::unique_ptr<engine::StackEngine> stack;
  WaitSet set;
};

TEST_F(ArmTest, AnIdleWorkerWaitsForItsQueues) {
  EXPECT_TRUE(arms(*worker));
  EXPECT_EQ(set.fds.size(), 2u);
  EXPECT_FALSE(set.must_poll);
}

TEST_F(ArmTest, PacketsOnRingsKeepAWorkerAwake) {
  expect_awake_for(*wiring->to_worker[0][0], *worker);
  expect_awake_for(*wiring->to_worker[1][0], *worker);
  expect_awake_for(*wiring->steer[0], *worker);
  expect_awake_for(*wiring->transmit[1][0], *worker);
}

TEST_F(ArmTest, PacketsOnRingsKeepTheStackAwake) {
  expect_awake_for(*wiring->to_stack[0][0], *stack);
  expect_awake_for(*wiring->to_stack[0][1], *stack);
  expect_awake_for(*wiring->between[0], *stack);
}

TEST_F(ArmTest, FramesInAQueueKeepAWorkerAwakeUnlessTheBoxDrains) {
  static_cast<FakePort&>(*ports[1]).feed(Frame(60));
  EXPECT_FALSE(arms(*worker));
  worker->receive_from_ports(false);
  EXPECT_TRUE(arms(*worker));
  EXPECT_TRUE(set.fds.empty()) << "a frame that is not wanted must not wake it either";
}

TEST_F(ArmTest, ANewConfigurationKeepsTheStackAwake) {
  const auto s = router_snapshot(7);
  wiring->snapshot = s.get();
  EXPECT_FALSE(arms(*stack)) << "it has addresses to announce";
  stack->poll(Instant{1}, engine::kQuota);
  EXPECT_TRUE(arms(*stack)) << "it has seen it";
  rte_mbuf* pkts[kMaxBurst];
  while (const unsigned n = wiring->to_worker[0][0]->receive(pkts, kMaxBurst)) rte_pktmbuf_free_bulk(pkts, n);
}

}  // namespace
}  // namespace sluice::test
