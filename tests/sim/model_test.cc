// Throughput under random loss beside what theory says of it: Mathis's formula for NewReno (1.22/sqrt(p)
// segments a round trip), RFC 9438 5.1's response function for CUBIC. In virtual time; within a factor of
// two, as random losses are not the periodic ones of the formulas.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

constexpr double kMss = 1448;  // with timestamps

double measured_window(tcp::CongestionControl algorithm, double loss, Duration rtt, uint64_t packets) {
  Scene s;
  s.seed = static_cast<uint64_t>(loss * 1e6) + static_cast<uint64_t>(rtt.ms());
  s.check_all = false;
  for (LinkModel& l : s.link) l.delay = Duration::nanos(rtt.ns / 2);
  s.link[0].loss = loss;
  for (tcp::Config& c : s.config) {
    c.tuning.congestion = algorithm;
    c.tuning.receive_buffer = c.tuning.send_buffer = 8u << 20;
    c.limits.out_of_order = 8192;
    c.limits.connections = 16;
    c.limits.chunks = 32768;
    c.limits.records = 65536;
  }
  s.buffers = 12000;
  Pair p;
  p.plan[0].send = p.plan[1].receive = packets * static_cast<uint64_t>(kMss);
  p.plan[0].piece = 60000;
  s.pairs.push_back(p);
  World w(s);
  while (w.step() && w.endpoint(0, 1).received() < p.plan[0].send) {
  }
  EXPECT_EQ(w.wrong(), "");
  EXPECT_EQ(w.endpoint(0, 1).received(), p.plan[0].send);
  double seconds = static_cast<double>((w.now() - w.start()).ns) / 1e9;
  return static_cast<double>(p.plan[0].send) / kMss / seconds * static_cast<double>(rtt.ns) / 1e9;
}

double reno_window(double p) {
  return std::sqrt(1.5 / p);
}
double cubic_window(double p, Duration rtt) {
  double seconds = static_cast<double>(rtt.ns) / 1e9;
  return std::max(reno_window(p), 1.054 * std::pow(seconds / p, 0.75));
}

void compare(tcp::CongestionControl algorithm, double loss, int64_t rtt_ms) {
  Duration rtt = Duration::millis(rtt_ms);
  bool cubic = algorithm == tcp::CongestionControl::cubic;
  double model = cubic ? cubic_window(loss, rtt) : reno_window(loss);
  double seen = measured_window(algorithm, loss, rtt, static_cast<uint64_t>(120 / loss));
  printf("%-8s loss %.4f, rtt %3ld ms: %6.1f segments a round trip; model %6.1f; ratio %.2f\n",
         cubic ? "cubic" : "newreno", loss, static_cast<long>(rtt_ms), seen, model, seen / model);
  EXPECT_GT(seen, model / 2);
  EXPECT_LT(seen, model * 2);
}

TEST(Model, NewRenoFollowsMathis) {
  for (double loss : {0.002, 0.005, 0.02})
    for (int64_t rtt : {20, 100}) compare(tcp::CongestionControl::newreno, loss, rtt);
}

TEST(Model, CubicFollowsItsResponseFunction) {
  for (double loss : {0.002, 0.005, 0.02})
    for (int64_t rtt : {20, 100}) compare(tcp::CongestionControl::cubic, loss, rtt);
  // Here CUBIC is ahead of Reno: its own region.
  compare(tcp::CongestionControl::cubic, 0.0002, 200);
}

}  // namespace
}  // namespace sluice::sim
