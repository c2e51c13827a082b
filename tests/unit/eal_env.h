// EAL for unit tests: no hugepages, no PCI, nothing left behind. Include in one source of a test program.
#pragma once

#include <gtest/gtest.h>
#include <rte_eal.h>

#include <vector>

namespace sluice::test {

class EalEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    static const char* args[] = {"test",     "--no-huge",      "--no-shconf",   "-m", "640",
                                 "--no-pci", "--no-telemetry", "--log-level=4", "--lcores", "0@0"};
    std::vector<char*> argv;
    for (const char* a : args) argv.push_back(const_cast<char*>(a));
    ASSERT_GE(rte_eal_init(static_cast<int>(argv.size()), argv.data()), 0);
  }
  void TearDown() override { rte_eal_cleanup(); }
};

inline ::testing::Environment* const eal = ::testing::AddGlobalTestEnvironment(new EalEnvironment);

}  // namespace sluice::test
