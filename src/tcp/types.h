// Small types that the library and its users share.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "tcp/segment.h"
#include "tcp/slab.h"

namespace sluice::tcp {

// RFC 9293 3.3.2, in the order in which a connection passes through them.
enum class State : uint8_t {
  closed, listen, syn_sent, syn_received, established, close_wait, fin_wait_1, fin_wait_2, closing, last_ack, time_wait
};
const char* to_string(State s);

// A connection, as long as it lives; afterwards the handle is stale, and every call with it says so.
struct ConnId {
  uint32_t index = kNone, generation = 0;
  bool operator==(const ConnId&) const = default;
  bool none() const { return index == kNone; }
};

using ListenerId = uint16_t;
inline constexpr ListenerId kNoListener = UINT16_MAX;

// Why a connection ended otherwise than by both sides' FIN.
enum class Failure : uint8_t {
  none,
  refused,      // RST in answer to our SYN
  reset,        // RST
  timed_out,    // no acknowledgment for Tuning::give_up or the user timeout; keepalive unanswered; SYN unanswered
  unreachable,  // an ICMP error ended a connection attempt (RFC 5927: later ones do not)
  aborted,      // by the limits of this stack
};
const char* to_string(Failure f);

// What a command may say. Nothing has happened unless it says ok.
enum class Outcome : uint8_t {
  ok,
  stale,        // no such connection (any more)
  wrong_state,  // not possible now: send after close, receive_done of more than was handed out, …
  full,         // the send buffer or a pool has no room: try again after a `sent` event
  in_use,       // address and port are taken
  invalid,      // an argument that makes no sense
  no_memory,    // the limit of connections or listeners
};
const char* to_string(Outcome o);

enum class EventKind : uint8_t {
  accepted,     // a listener has a new connection
  connected,    // connect() succeeded
  data,         // in-order payload: `m` now belongs to the application, see Stack::receive_done
  sent,         // `bytes` of what was given to send() are acknowledged, and there is room for more
  peer_closed,  // the peer's FIN, behind all data; sending is still possible
  closed,       // both directions are finished; the handle is stale from here on
  failed,       // see `failure`; the handle is stale from here on
};

struct Event {
  EventKind kind = EventKind::closed;
  Failure failure = Failure::none;
  ListenerId listener = kNoListener;  // of an accepted connection
  uint16_t offset = 0, length = 0;    // data: where in m's data
  uint32_t bytes = 0;                 // sent
  ConnId conn;
  uint64_t user = 0;                  // what set_user() or connect() left
  rte_mbuf* m = nullptr;
};

}  // namespace sluice::tcp
