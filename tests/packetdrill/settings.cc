#include "packetdrill/settings.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

namespace sluice::drill {
namespace {

Settings defaults() {
  Settings s;
  s.config.limits = {.connections = 256, .half_open = 64, .cookie_mark = 64, .time_wait = 64, .out_of_order = 128,
                     .chunks = 8192, .records = 8192};
  tcp::Tuning& t = s.config.tuning;
  // Linux acknowledges at once for a connection's first segments, and the scripts are no longer than that.
  t.delayed_ack = Duration::nanos(0);
  t.receive_buffer = 15u << 20;  // a window scale of 8
  t.send_buffer = 4u << 20;
  return s;
}

// KEY=VALUE of sysctl, dots and slashes alike, without net.ipv4 in front.
void apply_sysctl(Settings& s, std::string key, const std::string& value) {
  std::replace(key.begin(), key.end(), '/', '.');
  const size_t dot = key.rfind('.');
  if (dot != std::string::npos) key.erase(0, dot + 1);
  const int64_t n = std::strtoll(value.c_str(), nullptr, 0);
  tcp::Tuning& t = s.config.tuning;
  if (key == "tcp_timestamps") t.timestamps = n != 0;
  else if (key == "tcp_sack") t.sack = n != 0;
  else if (key == "tcp_window_scaling") t.window_scaling = n != 0;
  else if (key == "tcp_ecn") t.ecn = n != 0, t.ecn_active = n == 1;
  else if (key == "tcp_syn_retries") t.syn_retries = static_cast<uint8_t>(n);
  else if (key == "tcp_synack_retries") t.syn_ack_retries = static_cast<uint8_t>(n);
  else if (key == "tcp_notsent_lowat") s.unsent_low_water = static_cast<uint32_t>(n);
  else if (key == "tcp_min_tso_segs") s.least_group = static_cast<uint32_t>(n);
  else if (key == "tcp_wmem") std::istringstream(value) >> s.send_buffer >> s.send_buffer;  // least, default, most
  else if (key == "tcp_congestion_control")
    t.congestion = value == "reno" ? tcp::CongestionControl::newreno : tcp::CongestionControl::cubic;
}

// "ip route change … KEY [lock] N …".
void apply_route(Settings& s, std::istringstream words) {
  for (std::string key, value; words >> key;) {
    if (key != "mtu" && key != "advmss" && key != "initcwnd") continue;
    words >> value;
    if (value == "lock") words >> value;
    const long n = std::strtol(value.c_str(), nullptr, 10);
    if (key == "mtu") s.mtu = static_cast<uint16_t>(n);
    else if (key == "advmss") s.advertised_mss = static_cast<uint16_t>(n);
    else s.config.tuning.initial_window = static_cast<uint8_t>(n);
  }
}

}  // namespace

Settings Settings::read() {
  Settings s = defaults();
  const char* path = std::getenv("SLUICE_DRILL_SETTINGS");
  std::ifstream file(path ? path : "/dev/null");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("ip route ")) {
      apply_route(s, std::istringstream(line));
    } else if (const size_t equals = line.find('='); equals != std::string::npos) {
      apply_sysctl(s, line.substr(0, equals), line.substr(equals + 1));
    }
  }
  return s;
}

}  // namespace sluice::drill
