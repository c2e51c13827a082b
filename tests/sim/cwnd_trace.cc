// A picture of the congestion window: cwnd_trace FOLDER writes cubic.csv, newreno.csv, loss.csv and
// cwnd.gnuplot there; `gnuplot cwnd.gnuplot` in that folder renders cwnd.png. One bulk transfer each, in
// virtual time: over a bottleneck of 40 Mbit/s, 40 ms and a queue of one bandwidth-delay product; and with
// 0.2 % random loss.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/sim/world.h"

namespace sluice::sim {
namespace {

std::filesystem::path folder;

Scene bulk(tcp::CongestionControl algorithm, double loss) {
  Scene s;
  s.check_all = false;
  for (LinkModel& l : s.link) l.delay = Duration::millis(20);
  s.link[0].bits_per_second = 40e6;
  s.link[0].queue = 133;
  s.link[0].loss = loss;
  for (tcp::Config& c : s.config) {
    c.tuning.congestion = algorithm;
    c.tuning.receive_buffer = c.tuning.send_buffer = 4u << 20;
    c.limits.out_of_order = 4096;
    c.limits.connections = 16;
    c.limits.chunks = c.limits.records = 32768;
  }
  s.buffers = 12000;
  Pair p;
  p.plan[0].send = p.plan[1].receive = 400'000'000;
  p.plan[0].piece = 60000;
  s.pairs.push_back(p);
  return s;
}

void trace(const std::string& name, tcp::CongestionControl algorithm, double loss) {
  Scene s = bulk(algorithm, loss);
  World w(s);
  std::ofstream out(folder / (name + ".csv"));
  out << "seconds,cwnd,ssthresh,in_flight,srtt_ms,phase\n";
  for (Duration t{}; t < Duration::seconds(60); t = t + Duration::millis(10)) {
    while (w.step(w.start() + t)) {
    }
    ASSERT_EQ(w.wrong(), "");
    auto i = w.host(0).stack().info(w.now(), w.endpoint(0, 0).conn());
    if (!i || i->state < tcp::State::established) continue;
    out << static_cast<double>(t.ns) / 1e9 << ',' << i->cwnd / i->mss << ','
        << (i->ssthresh == UINT32_MAX ? std::string("nan") : std::to_string(i->ssthresh / i->mss)) << ','
        << i->in_flight / i->mss << ',' << static_cast<double>(i->srtt.ns) / 1e6 << ',' << i->phase << '\n';
  }
}

TEST(Trace, CongestionWindows) {
  trace("cubic", tcp::CongestionControl::cubic, 0);
  trace("newreno", tcp::CongestionControl::newreno, 0);
  trace("loss", tcp::CongestionControl::cubic, 0.002);
  std::ofstream(folder / "cwnd.gnuplot") << R"(set terminal png size 1400,1200
set output 'cwnd.png'
set datafile separator ','
set key top right
set multiplot layout 3,1
set xlabel 'seconds'
set ylabel 'segments'
do for [name in "cubic newreno loss"] {
  set title name
  plot name.'.csv' using 1:4 skip 1 with lines lc rgb '#bbbbbb' title 'in flight', \
       name.'.csv' using 1:3 skip 1 with lines lc rgb '#cc6600' title 'ssthresh', \
       name.'.csv' using 1:2 skip 1 with lines lw 2 lc rgb '#0044aa' title 'cwnd'
}
unset multiplot
)";
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    fprintf(stderr, "cwnd_trace FOLDER: say where the traces are to be written.\n");
    return 2;
  }
  sluice::sim::folder = argv[1];
  return RUN_ALL_TESTS();
}
