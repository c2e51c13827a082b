// Scripted packet tests: a text says what arrives and what must leave, at which virtual time. The language is
// described in README.md here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tcp/config.h"
#include "tests/sim/packet.h"

namespace sluice::sim {

// Options of a script's packet line, as written. Relative numbers are turned into absolute ones by the
// runner.
struct OptionSpec {
  bool given = false, any = false;  // <…> was there; <*>
  wire::TcpOptions value;
  bool any_ts_val = false, any_ts_ecr = false, any_scale = false, any_mss = false, any_sack = false;
};

struct PacketSpec {
  unsigned flow = 1;
  bool flush = true;  // inbound: the burst ends with it
  uint8_t flags = 0;
  bool any_push = false;                  // outbound: P may be there or not
  std::optional<int64_t> seq, ack;        // relative; none: anything
  bool raw_seq = false, raw_ack = false;  // `=N`: absolute
  std::optional<uint32_t> length;
  std::optional<uint16_t> window;
  uint16_t urgent = 0;
  std::optional<tcp::Ecn> ecn;
  std::optional<char> fill;  // payload of this byte instead of the stream's pattern
  std::optional<uint8_t> hop_limit;
  OptionSpec options;
};

struct Step {
  enum class Kind : uint8_t { in, out, command } kind = Kind::command;
  unsigned line = 0;
  std::string text;
  // When: after the step before (relative), at a time from the start (absolute), or whenever (any; outbound
  // alone).
  enum class When : uint8_t { relative, absolute, any } when = When::relative;
  Duration time{}, tolerance{-1};  // tolerance below 0: the default
  PacketSpec packet;
  unsigned flow = 1;
  std::vector<std::string> words;      // of a command
  std::optional<std::string> outcome;  // `-> WORD`
};

struct Script {
  std::string name;
  tcp::Config config;
  bool ipv6 = false, nagle = true;
  uint16_t mtu = 1500;
  uint32_t irs = 1'000'000, buffers = 4096;
  std::optional<std::string> known_failure;
  std::vector<Step> steps;
};

// Fills `to`, or says what is wrong and where.
std::optional<std::string> parse_script(std::string_view text, Script& to);
// none: everything was as the script says. Otherwise a sentence and the packets that were seen.
std::optional<std::string> run_script(const Script& s);

// "1.5", ".010": seconds.
std::optional<Duration> parse_seconds(std::string_view s);

}  // namespace sluice::sim
