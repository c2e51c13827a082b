// One direction of a relay: what arrives on one connection is sent on another (or on the same: echo) without a copy.
//
// Theory of operation. A received buffer is given to send() as it is; its bytes stay counted against the sender's
// window until the receiver has acknowledged them, so that the two TCP windows are one: a slow reader slows its
// writer, and what is under way is bounded by the smaller of the receive buffer and the send buffer. Where send() is
// full the buffer waits in a queue of the service's, and the source is paused.
#pragma once

#include "apps/pool.h"
#include "sluice/app.h"

namespace sluice::apps {

// Received buffers that wait, of all connections of a service.
struct Waiting {
  app::Buffer* buffer = nullptr;
  const uint8_t* bytes = nullptr;
  uint32_t length = 0;
  uint32_t next = kNone;
};
using WaitingPool = Pool<Waiting>;

// A queue in a WaitingPool.
struct WaitingQueue {
  uint32_t first = kNone, last = kNone;
  bool empty() const { return first == kNone; }
  bool push(WaitingPool& pool, const app::Event& e);  // false: no item left; the buffer is still the caller's
  void pop(WaitingPool& pool);
  void free_all(app::Api& api, WaitingPool& pool);
};

struct Splice {
  WaitingQueue waiting;
  uint64_t in_flight = 0;  // bytes sent to the destination that it has not acknowledged, prefix included
  uint32_t prefix = 0;     // of these, bytes of our own in front
  bool eof = false;        // the source sends no more
  bool shut = false;       // … and the destination has been told
  bool paused = false;     // the source

  // Something waits, and no acknowledgment will come to say that there is room: a shared pool was short.
  bool stuck() const { return !waiting.empty() && in_flight == 0; }
};

// A data event of `from`. With `to` not ready (none, or connecting) it waits. false: no item left to wait in; bytes are
// lost, and the connection cannot go on.
bool splice_data(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to, bool ready,
                 const app::Event& e);
// `to` has acknowledged so much. Returns how much of it came from `from`.
uint32_t splice_sent(app::Api& api, Splice& s, app::Conn from, uint32_t length);
// Sends what waits, and then the end of the stream. To be called when there may be room: after `sent`, `connected`,
// `peer_closed`, and when a little time has passed while stuck().
void splice_more(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to);

}  // namespace sluice::apps
