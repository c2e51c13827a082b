// The receiver's part of a connection: what has arrived and was not yet taken, the window, acknowledgments owed.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "base/instant.h"
#include "tcp/seq.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

struct Receiving {
  // In order, not yet told to the application; linked through the mbufs' private areas (receiver.cc, Held).
  rte_mbuf* queue_head = nullptr;
  rte_mbuf* queue_tail = nullptr;
  // Out of order, by sequence, without overlaps.
  rte_mbuf* ahead = nullptr;
  rte_mbuf* ahead_tail = nullptr;
  uint32_t queue_bytes = 0, ahead_bytes = 0;
  uint32_t given_bytes = 0;      // with the application, until receive_done
  uint32_t charge = 0;           // of queue, ahead and given: each buffer at least kBufferCharge bytes
  uint32_t given_charge = 0;     // the application's part of it
  uint16_t queue_buffers = 0, ahead_buffers = 0;
  uint32_t receive_buffer = 256 * 1024;
  Seq advertised;                // right edge of the window last announced: never moves left
  Seq fin;                       // where the peer's FIN stands, if fin_seen
  bool fin_seen = false, fin_taken = false;
  bool paused = false;           // the application wants no data now
  bool quick_ack = false;        // an ACK is owed at once (flushed at the burst's end)
  bool delayed = false;          // the delayed-ACK timer is armed
  Seq last_ack_sent;             // RFC 7323 4.3's Last.ACK.sent
  uint32_t unacked_bytes = 0;    // received since the last ACK
  uint16_t segment_estimate = 536;  // the peer's full size, as seen
  // RFC 7323: the peer's timestamp to echo, and when it was stored (PAWS expires it after 24 days).
  uint32_t ts_recent = 0;
  Instant ts_recent_at{};
  // RFC 3168: ECE is sent until CWR comes.
  bool ece = false;
  uint8_t sack_count = 0;        // ranges told last, most recent first (RFC 2018 4)
  wire::SackBlock recent[wire::kMaxSackBlocks];
  bool dsack = false;            // recent[] is preceded by a duplicate's range (RFC 2883)
  wire::SackBlock duplicate;
};

}  // namespace sluice::tcp
