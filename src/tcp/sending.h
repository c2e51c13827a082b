// The sender's part of a connection: what is queued, what is in flight, loss recovery's state. (sender's author)
#pragma once

#include <cstdint>

#include "base/instant.h"
#include "tcp/seq.h"
#include "tcp/slab.h"

namespace sluice::tcp {

struct Sending {
  uint32_t chunk_head = kNone, chunk_tail = kNone;   // queued slices from snd_una on (Core::chunks)
  uint32_t record_head = kNone, record_tail = kNone; // transmissions in flight, by sequence (Core::records)
  uint32_t queued = 0;       // bytes from snd_una to the end of the queue, without SYN and FIN
  uint32_t send_buffer = 256 * 1024;
  bool nagle = true;
};

}  // namespace sluice::tcp
