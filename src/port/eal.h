// Starts DPDK's EAL from what the configuration says, quietly: nothing is printed, its log is kept in memory.
//
// EAL gets one lcore, the caller's, which stays unpinned; the engine makes its own pinned threads and
// registers them (rte_thread_register), so that mempool caches work. EAL sees only the PCI devices that are
// named. Hugepages are used where enough are free (nothing is left behind in hugetlbfs); without them the
// heap is fixed at start, so that `memory_mb` must cover rings, ACL and FIB tables. Works without privilege
// where no device is named.
//
// Threads: once per process, from the main thread, before others are started.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace sluice::port {

struct EalOptions {
  enum class HugePages : uint8_t { automatic, off, required } huge_pages = HugePages::automatic;
  unsigned memory_mb = 256;            // EAL heap: packet memory is not part of it
  std::vector<std::string> devices;    // PCI addresses; others (vdev strings, netdevs) are ignored here
  std::vector<std::string> arguments;  // for experts, after the derived ones
};

struct EalReport {
  std::string text;     // one line: what was done
  std::string warning;  // one line, or empty
  bool huge_pages = false;
  std::vector<std::string> arguments;  // as EAL got them
};

Result<EalReport> start_eal(const EalOptions& o);
void stop_eal();
// The last lines of EAL's and its drivers' log, at most `lines`, oldest first. Any thread.
std::string eal_log(unsigned lines = 5);

// A PCI address, "[domain:]bus:device.function"; also with device arguments behind a comma.
bool is_pci_address(const std::string& device);

}  // namespace sluice::port
