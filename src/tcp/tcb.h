// The transmission control block (RFC 9293 3.3.1): one connection. Fields are grouped by who writes them.
#pragma once

#include <rte_mbuf.h>

#include "tcp/congestion.h"
#include "tcp/receiving.h"
#include "tcp/rtt.h"
#include "tcp/segment.h"
#include "tcp/sending.h"
#include "tcp/slab.h"
#include "tcp/types.h"

namespace sluice::tcp {

struct alignas(64) Tcb {
  // --- who it is
  Tuple tuple;
  uint64_t hash = 0;
  uint32_t hash_next = kNone;    // the connection table's chain
  uint32_t generation = 0;       // of this slot: a ConnId of an earlier one is stale
  State state = State::closed;
  bool passive = false;          // from LISTEN
  bool orphan = false;           // the application has left; nobody is told anything any more
  bool ready = false;            // on the list of connections with events
  bool dirty = false;            // on the list of connections to be flushed at the end of the burst
  bool fin_queued = false;       // close() was called: the FIN follows the queued data
  ListenerId listener = kNoListener;
  Path path;
  uint16_t mtu = 1500;           // of the link
  uint64_t user = 0;
  Instant opened{}, last_received{};

  // --- what both sides agreed on in the handshake (negotiate() in listen.cc, syn_sent in input.cc)
  bool sack_ok = false, ts_ok = false, ws_ok = false, ecn_ok = false;
  uint8_t snd_wind_shift = 0, rcv_wind_shift = 0;  // RFC 7323 2.3
  uint16_t snd_mss = 536;        // SendMSS: what the peer's option says (RFC 9293 3.7.1), without options' bytes
  uint32_t ts_offset = 0;        // of our timestamp clock (isn.h)

  // --- RFC 9293 3.3.1, send sequence variables. Written by the sender (sender.h) but for the handshake.
  Seq iss, snd_una, snd_nxt;     // snd_nxt: the highest ever sent + 1
  Seq snd_wl1, snd_wl2;
  uint32_t snd_wnd = 0, max_snd_wnd = 0;  // bytes, scaled
  Sending tx;
  Congestion cc;
  Rtt rtt;

  // --- receive sequence variables; written by the receiver (receiver.h)
  Seq irs, rcv_nxt;
  Receiving rx;

  // --- life: who owns the connection's long timer at the moment (stack.cc)
  uint8_t keepalive_sent = 0;
  bool keepalive = false;
  Duration user_timeout{};       // 0: Tuning::give_up
  Failure failure = Failure::none;
  uint8_t pending = 0;           // EventBit …: what events() has to tell
  uint32_t acked_untold = 0;     // bytes, for the `sent` event
  uint32_t list_prev = kNone, list_next = kNone;  // half-open or TIME-WAIT list, oldest first
  uint32_t ready_next = kNone, dirty_next = kNone;

  bool synchronized() const { return state >= State::established; }
};

static_assert(sizeof(Tcb) + 3 * 24 + 8 <= 1024, "an idle connection costs at most 1 KiB: Tcb, timers, hash head");

}  // namespace sluice::tcp
