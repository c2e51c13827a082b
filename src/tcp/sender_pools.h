// What the sender keeps of each queued slice and of each transmission in flight.
#pragma once

#include "base/instant.h"
#include "tcp/segment.h"
#include "tcp/slab.h"

namespace sluice::tcp {

struct Chunk {
  Slice slice;
  Seq begin;              // of its first byte
  uint32_t next = kNone;

  Seq end() const { return begin + slice.length; }
};
static_assert(sizeof(Chunk) <= 40);

// A range of sequence numbers as it was last sent; the FIN's too. SACK, partial retransmission and acknowledgments cut it.
struct Record {
  enum Mark : uint8_t {
    kSacked = 1,
    kLost = 2,         // thought lost: not in flight, unless kResent
    kResent = 4,       // lost, and in flight again
    kEverResent = 8,   // Karn: an acknowledgment does not say of which transmission
    kWindowProbe = 16, // a byte sent into a closed window
    kMtuProbe = 32,
  };
  Seq begin, end;
  Instant sent{};
  uint32_t prev = kNone, next = kNone;
  uint32_t chunk = kNone;  // the one that holds begin; kNone: a FIN alone
  uint8_t marks = 0;
  uint16_t packets = 0;    // of a SACKed range, about

  uint32_t length() const { return static_cast<uint32_t>(end - begin); }
  bool is(uint8_t m) const { return marks & m; }
};
static_assert(sizeof(Record) <= 40);

}  // namespace sluice::tcp
