// IP for one box that owns every address it is sent to: packets to segments, segments to packets. IPv4 and IPv6.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "tcp/segment.h"
#include "wire/headers.h"

namespace sluice::drill {

using Packet = std::vector<uint8_t>;

struct Parsed {
  std::optional<tcp::InSegment> segment;  // m and offset unset: the payload is `payload`
  wire::ConstBytes payload;
  std::optional<tcp::IcmpError> icmp;
};

// Neither segment nor icmp: nothing that TCP should see.
Parsed parse(wire::ConstBytes packet);

// One packet of `s`: payload bytes [from, from + length). What belongs to the first or the last packet alone is there
// alone; see OutSegment.
Packet build(const tcp::OutSegment& s, uint32_t from, uint32_t length);

// Sets or clears PSH in a packet that build() made.
void set_psh(Packet& p, bool on);

}  // namespace sluice::drill
