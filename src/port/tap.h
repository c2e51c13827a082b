// A TAP interface as a port: frames written to it enter the host's stack, frames that the host sends come
// out. The exception path hands BGP, SSH or DHCP of a port to the host through one that is called like the
// port. The interface exists as long as the object: it goes when the process dies.
//
// One queue, one system call a frame: for what the host handles itself, not for the data path. An idle TAP
// costs the loop one read every 50 µs, or none while it sleeps on wait_fd.
#pragma once

#include <memory>
#include <string>

#include "port/port.h"

namespace sluice::port {

// Makes the interface `name` with this MAC and MTU; start() brings it up.
Result<std::unique_ptr<Port>> open_tap(const std::string& name, const Mac& mac, uint16_t mtu,
                                       PacketPool& pool);

}  // namespace sluice::port
