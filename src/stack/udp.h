// UDP to the box: nobody listens yet, so a sound datagram draws port unreachable (RFC 1122 4.1.3.1,
// RFC 4443 3.1), and one that is not sound is dropped silently (RFC 768, RFC 8200 8.1).
#pragma once

#include "stack/datagram.h"

namespace sluice::stack {

void receive_udp(Turn& t, Datagram& d);

}  // namespace sluice::stack
