// Two stacks over a bad network. SLUICE_SIM_SEEDS=N runs N seeds instead of 1,000; SLUICE_SIM_SEED=S runs
// that one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>

#include "tests/sim/scenario.h"

namespace sluice::sim {
namespace {

uint64_t variable(const char* name, uint64_t otherwise) {
  const char* v = std::getenv(name);
  return v ? std::strtoull(v, nullptr, 0) : otherwise;
}

void run(const Scene& s) {
  World w(s);
  if (auto wrong = w.run())
    ADD_FAILURE() << *wrong << describe(s) << "Run it again with SLUICE_SIM_SEED=" << s.seed;
}

TEST(Seeds, TwoStacksOverABadNetwork) {
  if (uint64_t one = variable("SLUICE_SIM_SEED", 0)) {
    std::cout << describe(scenario(one));
    return run(scenario(one));
  }
  uint64_t n = variable("SLUICE_SIM_SEEDS", 1000);
  unsigned failed = 0;
  for (uint64_t seed = 1; seed <= n && failed < 5; seed++) {
    run(scenario(seed));
    if (HasFailure()) failed++;
  }
}

Scene quiet_network() {
  Scene s;
  for (LinkModel& l : s.link) l.delay = Duration::millis(5);
  for (tcp::Config& c : s.config) {
    c.limits.connections = 8192;
    c.limits.chunks = c.limits.records = 32768;
  }
  return s;
}

TEST(Workload, ThousandsOfShortConnections) {
  Scene s = quiet_network();
  s.check_all = false;
  for (LinkModel& l : s.link) l.loss = 0.01;
  for (unsigned i = 0; i < 5000; i++) {
    Pair p;
    p.plan[0].send = p.plan[1].receive = 100;
    p.plan[1].send = p.plan[0].receive = 700;
    p.plan[i % 2].end = Plan::End::close;
    p.plan[0].start = Duration::micros(300 * i);
    s.pairs.push_back(p);
  }
  run(s);
}

TEST(Workload, AnIdleConnectionIsKeptAliveForADay) {
  Scene s = quiet_network();
  s.config[0].tuning.keepalive_idle = Duration::seconds(600);
  s.limit = Duration::seconds(3 * 24 * 3600);
  Pair p;
  p.plan[0].keepalive = true;
  p.plan[0].send = p.plan[1].receive = 20;
  p.plan[0].piece = 10;
  p.plan[0].send_gap = Duration::seconds(24 * 3600);
  s.pairs.push_back(p);
  World w(s);
  auto wrong = w.run();
  EXPECT_FALSE(wrong) << *wrong;
  EXPECT_GE(w.host(0).counters().keepalives, 140u);
}

TEST(Workload, BothSidesOpenAndCloseAtOnce) {
  for (bool ipv6 : {false, true}) {
    Scene s = quiet_network();
    s.ipv6 = ipv6;
    Pair p;
    p.both_open = true;
    for (Plan& plan : p.plan) plan.send = plan.receive = 50'000;
    s.pairs.push_back(p);
    run(s);
  }
}

TEST(Workload, AReaderThatStopsForAnHourLosesNothing) {
  Scene s = quiet_network();
  Pair p;
  p.plan[0].send = p.plan[1].receive = 2'000'000;
  p.plan[1].read = Plan::Read::slowly;
  p.plan[1].read_bytes = 500'000;
  p.plan[1].read_every = Duration::seconds(3600);
  s.pairs.push_back(p);
  s.limit = Duration::seconds(24 * 3600);
  run(s);
}

TEST(Workload, BulkBothWaysThroughTheSmallestQueue) {
  Scene s = quiet_network();
  for (LinkModel& l : s.link) l.bits_per_second = 20e6, l.queue = 2;
  Pair p;
  for (Plan& plan : p.plan) plan.send = plan.receive = 3'000'000;
  s.pairs.push_back(p);
  run(s);
}

}  // namespace
}  // namespace sluice::sim
