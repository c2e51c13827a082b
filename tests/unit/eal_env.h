// EAL for unit tests: no hugepages, no PCI, nothing left behind. Include in one source of a test program.
#pragma once

#include <gtest/gtest.h>
#include <rte_eal.h>

#include <vector>

// EAL's heap; a test that fills it says how large it is before it includes this.
#ifndef SLUICE_TEST_MEGABYTES
#define SLUICE_TEST_MEGABYTES "640"
#endif

namespace sluice::test {

class EalEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    static const char* args[] = {"test",     "--no-huge",      "--no-shconf",   "-m", SLUICE_TEST_MEGABYTES,
                                 "--no-pci", "--no-telemetry", "--log-level=4", "--lcores", "0@0"};
    std::vector<char*> argv;
    for (const char* a : args) argv.push_back(const_cast<char*>(a));
    ASSERT_GE(rte_eal_init(static_cast<int>(argv.size()), argv.data()), 0);
  }
  void TearDown() override { rte_eal_cleanup(); }
};

inline ::testing::Environment* const eal = ::testing::AddGlobalTestEnvironment(new EalEnvironment);

}  // namespace sluice::test
