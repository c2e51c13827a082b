// main() of a benchmark that needs EAL: no hugepages, no PCI, nothing left behind.
#pragma once

#include <benchmark/benchmark.h>
#include <rte_eal.h>

#include <string>
#include <vector>

namespace sluice::bench {

inline int run(int argc, char** argv, unsigned megabytes) {
  std::string m = std::to_string(megabytes);
  std::vector<std::string> words{"bench",    "--no-huge",      "--no-shconf",   "-m",      m,
                                 "--no-pci", "--no-telemetry", "--log-level=4", "--lcores", "0@0"};
  std::vector<char*> eal;
  for (std::string& w : words) eal.push_back(w.data());
  if (rte_eal_init(static_cast<int>(eal.size()), eal.data()) < 0) return 1;
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  rte_eal_cleanup();
  return 0;
}

}  // namespace sluice::bench
