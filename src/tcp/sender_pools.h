// What the sender keeps of each queued slice and of each transmission in flight. (sender's author)
#pragma once

#include "base/instant.h"
#include "tcp/segment.h"

namespace sluice::tcp {

struct Chunk {
  Slice slice;
  uint32_t next = kNone;
};

// A range of sequence numbers as it was last sent. SACK may split it.
struct Record {
  Seq begin, end;
  Instant sent{};
  uint32_t prev = kNone, next = kNone;
};

}  // namespace sluice::tcp
