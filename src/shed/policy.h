// What the configuration asks of the verdict in front of the ports: plain values. Everything here may be changed while
// the box runs. Defaults are a box that sheds by level alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "maps.h"
#include "wire/addr.h"

namespace sluice::shed {

struct Rate {                  // frames; per_second 0: no limit
  uint64_t per_second = 0;     // at most 10'000'000
  uint64_t burst = 0;          // 0: a tenth of a second's, at least 1
  bool operator==(const Rate&) const = default;
};

struct PortRange {
  uint8_t proto = 17;          // 6, 17
  uint16_t lo = 0, hi = 0;     // host order
  bool operator==(const PortRange&) const = default;
};

struct ClassRule {             // the first that matches decides
  sluice_class cls = SLUICE_CLASS_REST;
  std::optional<Prefix> prefix;      // either end
  uint8_t proto = 0;                 // 0: any
  std::optional<PortRange> ports;    // either end; its proto does not count
  uint64_t dscp = UINT64_MAX;        // a bit each
  bool operator==(const ClassRule&) const = default;
};

struct ListEntry {
  Prefix prefix;
  sluice_action action = SLUICE_ACTION_BLOCK;  // block, allow
  bool operator==(const ListEntry&) const = default;
};

struct Policy {
  bool governor = true;              // false: the level stays 0, unless set by hand
  bool check_frames = false;         // malformed frames are dropped in front at level 0 too
  bool tcp_flags = false;
  enum class Bogons : uint8_t { no, martian, full } bogons = Bogons::no;  // full: private and documentation too
  std::vector<uint8_t> block_protocols;
  std::vector<PortRange> block_ports;           // destinations
  std::vector<uint16_t> amplifiers;             // UDP source ports
  Rate icmp;
  uint32_t icmp_max = 0;                        // bytes of IP; 0: any
  Rate source, destination;                     // each prefix of that length
  uint8_t source_bits4 = 32, source_bits6 = 64, destination_bits4 = 32, destination_bits6 = 128;
  Rate class_rate[SLUICE_CLASSES] = {{20000, 2000}, {}, {}, {}};  // of a port; divided among its queues
  Rate syn{10000, 10000};                       // each destination (address and port)
  bool syn_always = false;                      // else only while something is shed
  bool syn_cookies = true;
  std::vector<ClassRule> classes;
  std::vector<ListEntry> lists;                 // of the file; files of prefixes are read into it
  bool operator==(const Policy&) const = default;
};

// A TCP listener of the box that SYNs may be answered for.
struct Service {
  IpAddr addr;
  uint16_t port = 0;
  uint16_t mss = 1460;
  uint8_t hop_limit = 64, window_scale = 0;
  bool sack = true, timestamps = true, scale = true, ecn = true;
  bool operator==(const Service&) const = default;
};

}  // namespace sluice::shed
