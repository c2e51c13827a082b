// The receiving half of a connection, as the sender sees it: what goes into the header of every segment.
#pragma once

#include "tcp/core.h"

namespace sluice::tcp {

// The window field for a segment sent now (scaled, unless `syn`); moves Receiving::advertised.
uint16_t announce_window(Core& core, Tcb& c, bool syn);
// An ACK is due now (two full segments, out of order, FIN, window reopened); false: none, or one may wait for the timer.
bool ack_owed(const Tcb& c);
// A segment with ACK was handed to the sink: nothing is owed, the delayed-ACK timer is off, Last.ACK.sent is rcv_nxt.
void ack_sent(Core& core, Tcb& c);
// SACK blocks for the next ACK (RFC 2018 4, 2883), at most `most`; fills o.sack and o.sack_blocks. The duplicate is
// forgotten once told.
void fill_sack(Core& core, Tcb& c, wire::TcpOptions& o, unsigned most);

}  // namespace sluice::tcp
