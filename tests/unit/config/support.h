// Short ways to load a text and to look at what was found.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "config/config.h"

namespace sluice::config {

// A file that is sound by itself; tests append sections or replace its ports.
inline const std::string kPorts =
    "version: 1\n"
    "ports:\n"
    "  lan: {device: v0, addresses: [192.0.2.1/24, \"2001:db8:1::1/64\"]}\n"
    "  wan: {device: v1, addresses: [198.51.100.1/24, \"2001:db8:2::1/64\"]}\n";
inline constexpr unsigned kPortsLines = 4;

inline std::string all(const Loaded& l) {
  std::string s;
  for (const Mistake& m : l.mistakes) s += to_string(m) + "\n";
  return s;
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream s;
  s << in.rdbuf();
  return s.str();
}

inline const char* const kExamples[] = {"conf/router.yaml",
                                        "conf/firewall.yaml",
                                        "conf/lab.yaml",
                                        "conf/dpdk-nic.yaml",
                                        "conf/replay.yaml",
                                        "conf/tcp-services.yaml",
                                        "conf/proxy.yaml",
                                        "conf/scrubber.yaml",
                                        "tests/e2e/exam-router.yaml",
                                        "tests/e2e/exam-router-filter.yaml"};
inline std::string example(const std::string& name) {
  return slurp(std::string(SOURCE_ROOT) + "/" + name);
}

}  // namespace sluice::config
