// AF_XDP ports: our own driver, with the packet pool as UMEM (af_xdp_queue.h), our XDP program
// (xdp_program.h) and the remedies for what goes wrong on real machines.
#pragma once

#include <memory>

#include "port/options.h"

namespace sluice::port {

// The longest frame that a chunk of the pool holds: 4096 - mbuf - headroom. Two VLAN tags fit beside the MTU.
inline constexpr unsigned kXdpMaxFrame = 3584;
inline constexpr unsigned kXdpMaxMtu = kXdpMaxFrame - 14 - 8;

// Checks the device, loads and attaches the XDP program and binds a socket for each queue, so that info()
// says the mode; until start() the frames still go to the kernel. The device is looked for in the network
// namespace of the calling thread, then and later.
Result<std::unique_ptr<Port>> open_af_xdp(const Options& o, PacketPool& pool);

}  // namespace sluice::port
