// What is in flight, as records in the order of their sequence numbers, without gaps from snd_una to snd_nxt.
//
// A record is a range that was sent in one go (up to 64 KiB), so that bulk transfer has few of them. It is cut where a
// SACK block, a partial retransmission or an acknowledgment ends within it; neighbours that are SACKed become one again.
// A connection's records are bounded (kRecordsToSplit): a SACK block that would cut one more is ignored, which costs a
// needless retransmission and nothing else. Walks are from the nearer end, and stop where nothing older can follow.
#pragma once

#include "tcp/sender_parts.h"

namespace sluice::tcp {

// Appends [snd_nxt, end) as sent now. false: no record free, nothing has changed.
bool append_record(Core& core, Tcb& c, Seq end, uint32_t chunk, uint8_t marks);
// [begin, at) and [at, end). false: no record free.
bool split_record(Core& core, Tcb& c, uint32_t index, Seq at);
// With the following one, if both are lost and wait to be sent again.
bool join_with_next(Core& core, Tcb& c, uint32_t index);
void remove_record(Core& core, Tcb& c, uint32_t index);

// Everything before `ack` is acknowledged.
void acknowledge_records(Core& core, Tcb& c, Seq ack, const wire::TcpOptions& o, AckNews& n);
// Marks what the segment's SACK blocks report (RFC 2018, 2883).
void take_sack(Core& core, Tcb& c, const InSegment& s, AckNews& n);

void mark_lost(Core& core, Tcb& c, uint32_t index);
void mark_resent(Tcb& c, Record& r);
// The receiver may have thrown away what it SACKed (RFC 2018 8): SACKs are forgotten.
void forget_sacks(Core& core, Tcb& c);
// A reduction was for nothing: what waits to be sent again counts as in flight.
void forget_losses(Core& core, Tcb& c);
// The first record that is lost and not in flight again, or kNone.
uint32_t first_to_resend(Core& core, Tcb& c);

}  // namespace sluice::tcp
