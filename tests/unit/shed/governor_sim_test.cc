// The governor against a queue in virtual time. SLUICE_SIM_TABLE=1 prints what came out.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "governor_sim.h"

namespace sluice::test {
namespace {

bool table() {
  static const bool wanted = std::getenv("SLUICE_SIM_TABLE");
  return wanted;
}
void print(const char* what, double times, SimResult r) {
  if (!table()) return;
  std::printf("%-34s %6.1fx goodput %5.1f%% est %5.1f%% new %5.1f%% rest %5.1f%% idle %4.1f%% wait p50 %7.3f p99 %7.3f ms "
              "level %3u (max %3u) turns of direction %u\n",
              what, times, 100 * r.goodput(), 100 * r.share(kEstablished), 100 * r.share(kNew), 100 * r.share(kRest),
              100 * r.idle / r.seconds, 1e3 * r.wait(0.5), 1e3 * r.wait(0.99), r.level, r.highest, r.changes);
}

struct Machine {
  const char* name;
  SimConfig config;
};
// From a NIC at line rate to a worker that shares its lcore with a stack which takes 2 ms a turn.
const Machine kMachines[] = {
    {"14 Mpps, ring of 1024", {.capacity = 14e6, .ring = 1024}},
    {"1 Mpps, ring of 2048", {.capacity = 1e6}},
    {"100 kpps, ring of 2048", {.capacity = 100e3}},
    {"stack of 2 ms a turn", {.capacity = 1e6, .other_work = Duration::millis(2)}},
};

class GovernorSimTest : public ::testing::TestWithParam<Machine> {};
INSTANTIATE_TEST_SUITE_P(Machines, GovernorSimTest, ::testing::ValuesIn(kMachines),
                         [](const auto& i) { return "m" + std::to_string(i.index); });

constexpr Duration kSettle = Duration::millis(500), kLong = Duration::seconds(1);

// A flood of the rest beside established flows of a third of the capacity and new ones of a tenth.
PerClass flood(double capacity, double times) {
  return {capacity * 0.3, capacity * 0.1, capacity * (times - 0.4)};
}

TEST_P(GovernorSimTest, GoodputStaysAtItsPeakWhateverIsOffered) {
  for (const double times : {1.05, 2.0, 10.0, 100.0}) {
    SCOPED_TRACE(times);
    GovernorSim sim(GetParam().config);
    const double c = sim.effective_capacity();
    sim.run(Duration::millis(100), flood(c, 0.9));
    SimResult step = sim.run(kSettle, flood(c, times));
    print((std::string(GetParam().name) + ", step").c_str(), times, step);
    EXPECT_GE(step.goodput(), 0.92);
    EXPECT_GE(step.share(kEstablished), 0.9);  // a full ring loses some of all, until the level is there
    SimResult r = sim.run(kLong, flood(c, times));
    print(GetParam().name, times, r);
    EXPECT_GE(r.goodput(), 0.95);
    EXPECT_EQ(total(r.overflow), 0);
    EXPECT_GE(r.share(kEstablished), 0.99) << "nothing of it is shed";
    EXPECT_GE(r.share(kNew), 0.99);
    EXPECT_LE(r.changes, 20u) << "the level swings";
    EXPECT_LE(r.wait(0.99), 0.5 * GetParam().config.ring / c) << "what passes waits long";
    EXPECT_LE(r.level, static_cast<uint32_t>(SLUICE_LEVEL_REST));
  }
}

TEST_P(GovernorSimTest, EachClassIsShedWhereTheNextDoesNotSuffice) {
  struct Mix {
    const char* name;
    PerClass of_capacity;
    PerClass least;  // of what is offered, served
  };
  const Mix mixes[] = {
      {"new flows", {0.3, 9.7, 0}, {0.99, 0.06, 0}},
      {"all mixed", {3, 3, 4}, {0.3, 0, 0}},
      {"established only", {10, 0, 0}, {0.095, 0, 0}},
      {"new beside a little rest", {0.3, 2, 0.2}, {0.99, 0.33, 0}},
  };
  for (const Mix& m : mixes) {
    SCOPED_TRACE(m.name);
    GovernorSim sim(GetParam().config);
    const double c = sim.effective_capacity();
    const PerClass load = {m.of_capacity[0] * c, m.of_capacity[1] * c, m.of_capacity[2] * c};
    sim.run(kSettle, load);
    SimResult r = sim.run(kLong, load);
    print((std::string(GetParam().name) + ", " + m.name).c_str(), total(m.of_capacity), r);
    EXPECT_GE(r.goodput(), 0.95);
    for (unsigned k = 0; k < kSimClasses; ++k)
      EXPECT_GE(r.share(static_cast<SimClass>(k)), m.least[k]) << k;
    EXPECT_LE(r.changes, 12u);
  }
}

TEST_P(GovernorSimTest, BelowCapacityNothingIsShed) {
  GovernorSim sim(GetParam().config);
  const double c = sim.effective_capacity();
  SimResult r = sim.run(kLong, flood(c, 0.9));
  print(GetParam().name, 0.9, r);
  EXPECT_EQ(r.highest, 0u);
  EXPECT_EQ(total(r.overflow), 0);
  EXPECT_EQ(sim.governor().next_deadline(), Instant::never());
}

TEST_P(GovernorSimTest, TheLevelFallsToNothingWhenTheLoadEnds) {
  for (const double times : {2.0, 10.0, 100.0}) {
    SCOPED_TRACE(times);
    GovernorSim sim(GetParam().config);
    const double c = sim.effective_capacity();
    sim.run(kSettle, flood(c, times));
    EXPECT_GT(sim.governor().level(), 0u);
    SimResult after = sim.run(Duration::seconds(1), flood(c, 0.5));
    print((std::string(GetParam().name) + ", after").c_str(), times, after);
    EXPECT_EQ(after.level, 0u);
    EXPECT_GE(after.share(kEstablished), 0.99);
    EXPECT_GE(after.share(kNew), 0.99);
    EXPECT_EQ(sim.governor().next_deadline(), Instant::never());
  }
}

TEST_P(GovernorSimTest, ARampIsFollowed) {
  GovernorSim sim(GetParam().config);
  const double c = sim.effective_capacity();
  const Duration up = Duration::seconds(2);
  SimResult r = sim.run(up, [&](Duration t) {
    return flood(c, 0.5 + 19.5 * static_cast<double>(t.ns) / static_cast<double>(up.ns));
  });
  print((std::string(GetParam().name) + ", ramp").c_str(), 20, r);
  EXPECT_GE(r.goodput(), 0.94);  // below the capacity at first
  EXPECT_GE(r.share(kEstablished), 0.99);
  EXPECT_LE(r.changes, 8u);
}

TEST_P(GovernorSimTest, BurstsAreMet) {
  for (const int ms : {5, 20, 100, 500}) {
    SCOPED_TRACE(ms);
    GovernorSim sim(GetParam().config);
    const double c = sim.effective_capacity();
    const auto on_off = [&](Duration t) { return t.ns / Duration::millis(ms).ns % 2 ? flood(c, 0.4) : flood(c, 10); };
    sim.run(Duration::seconds(1), on_off);
    SimResult r = sim.run(kLong, on_off);
    print((std::string(GetParam().name) + ", " + std::to_string(ms) + " ms bursts").c_str(), 10, r);
    // Half of the time 0.4 of the capacity is offered, half of it more than all of it.
    EXPECT_GE(r.goodput(), 0.95 * 0.5 * (1 + 0.4));
    EXPECT_GE(r.share(kEstablished), 0.97);
    EXPECT_LE(r.changes, 2 * static_cast<unsigned>(kLong.ms()) / static_cast<unsigned>(ms) + 12);
  }
}

// No constant level is much better than what the governor finds, however much the receive work takes of the core.
TEST(GovernorSharedCore, ForwardsAsMuchAsTheBestConstantLevel) {
  for (const double slice : {1e-3, 3e-3})
    for (const double mpps : {0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0}) {
      SCOPED_TRACE(mpps);
      SharedCore core{.slice = slice, .offered = mpps * 1e6};
      const double governed = core.run();
      double best = 0, unshed = 0;
      for (core.constant = 0; core.constant < SLUICE_LEVEL_REST; core.constant += 16) {
        const double r = core.run();
        if (core.constant == 0) unshed = r;
        best = std::max(best, r);
      }
      if (table())
        std::printf("one core, slices of %.0f ms, %4.1f Mpps: governed %5.3f, best constant level %5.3f, unshed %5.3f\n",
                    slice * 1e3, mpps, governed / 1e6, best / 1e6, unshed / 1e6);
      EXPECT_GE(governed, 0.85 * best);
    }
}

TEST(Governor, ALevelThatNothingConfirmsFallsByItself) {
  shed::Governor g;
  Instant now{1};
  for (int i = 0; i < 100; ++i, now = now + Duration::millis(1)) g.observe(now, {.receive = 1});
  const uint32_t before = g.level();
  EXPECT_GE(before, static_cast<uint32_t>(SLUICE_LEVEL_REST));
  now = now + Duration::seconds(10);
  g.observe(now, {});
  EXPECT_EQ(g.level(), 0u);
}

TEST(Governor, HeldByHandItStaysAndLetGoItBeginsAnew) {
  shed::Governor g;
  g.hold(300);
  EXPECT_EQ(g.observe(Instant{1}, {}), 300u);
  EXPECT_EQ(g.next_deadline(), Instant::never());
  g.hold(5000);
  EXPECT_EQ(g.observe(Instant{2}, {}), static_cast<uint32_t>(SLUICE_LEVEL_MAX));
  g.hold(0);
  EXPECT_EQ(g.observe(Instant{3}, {.receive = 1}), 0u) << "held at nothing, under load";
  g.hold(-1);
  EXPECT_EQ(g.observe(Instant{4}, {}), 0u);
  EXPECT_GT(g.observe(Instant{5}, {.receive = 1}), 0u);
}

// Other rings may cost the rest and new flows, not the established.
TEST(Governor, AFullRingBehindTheQueueLeavesEstablishedFlowsAlone) {
  shed::Governor g;
  Instant now{1};
  for (int i = 0; i < 1000; ++i, now = now + Duration::millis(1)) g.observe(now, {.handoff = 1});
  EXPECT_EQ(g.level(), static_cast<uint32_t>(SLUICE_LEVEL_NEW));
}

// Only where packets fill the turns; an interrupted lcore is not helped.
TEST(Governor, LongTurnsCountWherePacketsMakeThem) {
  shed::Governor g;
  EXPECT_EQ(g.observe(Instant{1}, {.quota = 0.02f, .turn = Duration::millis(100), .unserved = Duration::millis(100)}), 0u);
  EXPECT_EQ(g.observe(Instant{2}, {.quota = 1, .turn = Duration::millis(5)}), 0u);
  const shed::Load slow{.quota = 1, .turn = Duration::millis(20), .unserved = Duration::millis(20)};
  const shed::Load quick{.quota = 1, .turn = Duration::micros(100), .unserved = Duration::micros(100)};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(g.observe(Instant{3 + i}, i % 4 ? slow : quick), 0u) << "somebody else has the core now and then";
  for (int i = 0; i < 4; ++i) g.observe(Instant{200 + i}, slow);
  EXPECT_GT(g.level(), 0u);
}

}  // namespace
}  // namespace sluice::test
