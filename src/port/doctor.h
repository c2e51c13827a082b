// What each interface and this machine can do for sluice, and what to change: `sluiced doctor`. Looks, and
// tries nothing, so that it may be run beside a working network.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "port/netdev.h"

namespace sluice::port {

struct InterfaceReport {
  Netdev device;
  bool found = false;
  bool default_route = false;
  std::string native_xdp, zero_copy;  // "yes", "no", "unknown", and how that is known
  std::vector<std::string> offloads;  // "gro on"
  bool vlan_stripping = false;
  std::vector<std::string> advice;  // sentences
};

struct MachineReport {
  std::string kernel;
  bool btf = false, af_xdp = false, privileged = false;
  unsigned cpus = 0;
  std::string isolated, nohz_full;  // CPU lists as the kernel prints them; empty: none
  struct HugePages {
    unsigned kib = 0;
    uint64_t total = 0, free = 0;
  };
  std::vector<HugePages> huge_pages;
  uint64_t memory_kib = 0, available_kib = 0;
  std::optional<uint64_t> memlock;  // bytes; none: no limit
  std::vector<std::string> advice;
};

std::vector<InterfaceReport> examine(const std::vector<std::string>& names);  // empty: all but loopback
MachineReport examine_machine();
void print(std::ostream& out, const MachineReport& machine, const std::vector<InterfaceReport>& interfaces);

// Everything on standard output; the exit status: 1 if a name is no interface.
int print_doctor(const std::vector<std::string>& names);

}  // namespace sluice::port
