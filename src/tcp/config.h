// What a stack is made with. Every limit says what happens at it.
#pragma once

#include <cstdint>

#include "base/hash.h"
#include "base/instant.h"

namespace sluice::tcp {

enum class CongestionControl : uint8_t { cubic, newreno };

struct Limits {
  uint32_t connections = 65536;  // at the limit the oldest TIME-WAIT gives way, else a SYN is dropped (tcp_connections_full)
  uint32_t half_open = 4096;     // SYN-RECEIVED; above, SYNs are answered with cookies, without state
  uint32_t cookie_mark = 1024;   // cookies from here on, until there are half as many
  uint32_t time_wait = 32768;    // above, the oldest ends early
  uint32_t out_of_order = 128;   // mbufs a connection may hold out of order; above, the segment furthest ahead is dropped
  uint32_t chunks = 1u << 18;    // queued slices of all connections; above, send() says full
  uint32_t records = 1u << 18;   // transmissions in flight, all connections; above, nothing new is sent
  uint32_t challenge_acks_per_second = 1000;  // RFC 5961 7; above, silence
  uint32_t resets_per_second = 1000;          // for closed ports; above, silence
};

struct Tuning {
  CongestionControl congestion = CongestionControl::cubic;
  bool ecn = true;               // accepted where the peer asks for it; asked for only with ecn_active
  bool ecn_active = false;
  bool sack = true, timestamps = true, window_scaling = true;
  bool nagle = true;             // default of new connections
  uint8_t initial_window = 10;   // segments (RFC 6928)
  uint8_t hop_limit = 64;
  uint8_t syn_retries = 7;       // of our SYN; 183 s (RFC 9293 3.8.3 MUST-23: 3 minutes at least)
  uint8_t syn_ack_retries = 5;
  Duration rto_initial = Duration::seconds(1);    // RFC 6298 2.1
  Duration rto_min = Duration::millis(200), rto_max = Duration::seconds(60);
  Duration give_up = Duration::seconds(924);      // R2 (RFC 9293 3.8.3): unacknowledged for so long, the connection fails
  Duration delayed_ack = Duration::millis(40);    // RFC 9293 3.8.6.3: below 0.5 s
  Duration time_wait = Duration::seconds(60);     // 2 MSL
  Duration fin_wait_2 = Duration::seconds(60);    // of a connection that the application has left
  Duration keepalive_idle = Duration::seconds(7200), keepalive_interval = Duration::seconds(75);
  uint8_t keepalive_probes = 9;
  uint16_t mtu_probe_floor = 1024;  // RFC 4821 7.2, IPv4 and IPv6 (there 1280): MTU to fall back to when large segments vanish
  uint32_t receive_buffer = 256 * 1024, send_buffer = 256 * 1024;  // bytes; defaults of new connections
};

struct Config {
  Limits limits;
  Tuning tuning;
};

// 128-bit keys of a PRF (SipHash); table is for the connection table's hash.
struct Secrets {
  HashKey table{};
  uint64_t isn[2]{}, timestamp[2]{}, cookie[2]{};
  uint64_t seed = 1;  // of jitter and ephemeral ports; not a secret that security rests on
};

}  // namespace sluice::tcp
