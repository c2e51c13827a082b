// A TCP packet on the simulated wire: its own copy of everything, as a tap would see it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tcp/segment.h"

namespace sluice::sim {

struct Packet {
  tcp::Tuple tuple;  // local is the sender's
  tcp::Seq seq, ack;
  uint8_t flags = 0, hop_limit = 64;
  uint16_t window = 0, urgent = 0;
  wire::TcpOptions options;
  uint16_t options_length = 0;
  std::vector<uint8_t> payload;
  tcp::Ecn ecn = tcp::Ecn::not_ect;
  bool dont_fragment = true;

  bool has(uint8_t f) const { return flags & f; }
  uint32_t length() const { return static_cast<uint32_t>(payload.size()); }
  uint32_t seg_len() const { return length() + has(wire::kTcpSyn) + has(wire::kTcpFin); }
  uint32_t ip_bytes() const {
    return (tuple.local.family == 4 ? 20u : 40u) + 20u + options_length + length();
  }
};

tcp::Tuple reversed(const tcp::Tuple& t);

// What the Sink contract says about a segment longer than `mss`: cut into packets.
std::vector<Packet> cut(const tcp::OutSegment& s);

// "S.", "FP.", …: F S R P . U E W, in tcpdump's manner.
std::string flags_text(uint8_t flags);
// One line after tcpdump's fashion; sequence numbers relative to the bases given.
std::string to_text(const Packet& p, tcp::Seq seq_base = {}, tcp::Seq ack_base = {});

}  // namespace sluice::sim
