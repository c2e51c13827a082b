// Initial sequence numbers (RFC 6528: a clock of 4 µs plus a keyed hash of the tuple) and timestamp offsets (RFC 7323
// 5.4, a keyed hash of the addresses and ports).
#pragma once

#include "base/instant.h"
#include "tcp/config.h"
#include "tcp/segment.h"

namespace sluice::tcp {

Seq initial_sequence(const Secrets& s, Instant now, const Tuple& t);
uint32_t timestamp_offset(const Secrets& s, const Tuple& t);
// The timestamp clock: milliseconds.
inline uint32_t timestamp(Instant now, uint32_t offset) { return static_cast<uint32_t>(now.ns / 1'000'000) + offset; }

}  // namespace sluice::tcp
