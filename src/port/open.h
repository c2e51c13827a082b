// What the drivers share: their makers, and the defaults of ports that have no device of their own.
#pragma once

#include "base/counter.h"
#include "port/options.h"

namespace sluice::port {

Result<std::unique_ptr<Port>> open_dpdk(const Options& o, PacketPool& pool);
Result<std::unique_ptr<Port>> open_pcap(const Options& o, PacketPool& pool);
Result<std::unique_ptr<Port>> open_generator(const Options& o, PacketPool& pool);
Result<std::unique_ptr<Port>> open_null(const Options& o, PacketPool& pool);

// Wrappers take the port that they wrap.
Result<std::unique_ptr<Port>> wrap_capture(std::unique_ptr<Port> inner, const Options& o);
std::unique_ptr<Port> wrap_fault(std::unique_ptr<Port> inner, const Options& o, PacketPool& pool);

// The configured address, or a locally administered one that follows from the port's index.
inline Mac software_mac(const Options& o) {
  if (o.mac) return *o.mac;
  return {{0x02, 0x53, 0x4c, 0, static_cast<uint8_t>(o.index >> 8), static_cast<uint8_t>(o.index)}};
}

// What the automatic driver would take for a device, and why. Also for doctor.
struct Choice {
  Driver driver = Driver::automatic;  // automatic: none fits, and `reason` says why
  std::string reason;
};
Choice choose_driver(const std::string& device);

}  // namespace sluice::port
