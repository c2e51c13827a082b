// The subcommands of sluiced. Each returns the exit status: 0 done, 1 failed, 2 wrong usage or configuration.
#pragma once

#include <string>
#include <vector>

namespace sluice::daemon {

struct RunOptions {
  std::string config;
  std::vector<std::string> set;
  bool verbose = false;
};
int run(const RunOptions& o);

struct ReplayOptions {
  std::string config;
  std::vector<std::string> set;
  std::vector<std::string> in;  // PORT=FILE
  std::string out_dir, verdicts;
  uint64_t seed = 1;
  bool quiet = false;
};
int replay(const ReplayOptions& o);

struct BenchOptions {
  std::vector<unsigned> bursts{1, 2, 4, 8, 16, 32, 64, 256};
  std::vector<uint64_t> flows{1, 1000, 100'000, 1'000'000};
  unsigned size = 60;
  unsigned rules = 0, routes = 1;
  double seconds = 1.0;
  unsigned cpu = 0;
  bool as_json = false, random = true, ip6 = false;
};
int bench(const BenchOptions& o);

}  // namespace sluice::daemon
