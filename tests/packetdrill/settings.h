// What a script's shell lines set (sysctl, ip route), as the programs in bin/ noted it down: one setting a line in the
// file that $SLUICE_DRILL_SETTINGS names. Later lines win.
#pragma once

#include <cstdint>

#include "tcp/config.h"

namespace sluice::drill {

struct Settings {
  tcp::Config config;
  uint32_t send_buffer = 256u << 10;  // of a socket that does not say
  uint32_t unsent_low_water = UINT32_MAX;
  uint32_t least_group = 2;         // tcp_min_tso_segs
  uint16_t mtu = 1500;
  uint16_t advertised_mss = 0;      // 0: what the MTU allows

  // Limits fit a script: one process, a handful of connections.
  static Settings read();
};

}  // namespace sluice::drill
