// What the library's parts share: as long as the stack lives. `now` is the time of the call that is being served.
#pragma once

#include "packet/buffers.h"
#include "table/timer_wheel.h"
#include "table/token_bucket.h"
#include "tcp/config.h"
#include "tcp/connection_table.h"
#include "tcp/sender_pools.h"
#include "tcp/slab.h"
#include "tcp/tcb.h"

namespace sluice::tcp {

struct Counters {
#define COUNT(name, text) uint64_t name = 0;
#include "tcp/counters.def"
#undef COUNT
};

enum class Timer : uint8_t { retransmit, ack, life };
inline constexpr uint32_t kTimers = 3;

struct Core {
  Core(const Config& c, const Secrets& s, Buffers& b, Sink& out);

  Config config;
  Secrets secrets;
  Buffers& buffers;
  Sink& sink;
  Instant now{};
  Counters count;
  Slab<Tcb> tcbs;
  ConnectionTable table;
  TimerWheel timers;          // index · kTimers + Timer
  Slab<Chunk> chunks;
  Slab<Record> records;
  TokenBucket challenge, resets;
  uint64_t random_state;
  uint32_t dirty_head = kNone;  // connections that flush() looks at: an ACK is owed, or something became sendable

  uint32_t index_of(const Tcb& c) const { return tcbs.index_of(c); }
  void arm(const Tcb& c, Timer t, Instant when) { timers.arm(index_of(c) * kTimers + static_cast<uint32_t>(t), when); }
  void cancel(const Tcb& c, Timer t) { timers.cancel(index_of(c) * kTimers + static_cast<uint32_t>(t)); }
  bool armed(const Tcb& c, Timer t) const { return timers.armed(index_of(c) * kTimers + static_cast<uint32_t>(t)); }
  uint32_t timestamp_of(const Tcb& c) const;  // TSval to send now
  // Looked at once more before the burst ends: by output(), which sends data or the ACK that is owed.
  void mark(Tcb& c);

  uint64_t random() {  // SplitMix64
    uint64_t z = random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
};

}  // namespace sluice::tcp
