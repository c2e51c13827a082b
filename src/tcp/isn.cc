#include "tcp/isn.h"

#include "siphash.h"

namespace sluice::tcp {
namespace {

uint32_t keyed(const uint64_t (&key)[2], const Tuple& t) {
  sluice_siphash s = sluice_siphash_begin(key[0], key[1]);
  for (const IpAddr* a : {&t.local, &t.remote}) {
    sluice_siphash_add(&s, a->v6().hi());
    sluice_siphash_add(&s, a->v6().lo());
  }
  const uint64_t ports = t.local_port | uint64_t{t.remote_port} << 16;
  return static_cast<uint32_t>(sluice_siphash_end(&s, ports | uint64_t{36} << 56));
}

}  // namespace

Seq initial_sequence(const Secrets& s, Instant now, const Tuple& t) {
  return {static_cast<uint32_t>(now.ns / 4000) + keyed(s.isn, t)};
}

uint32_t timestamp_offset(const Secrets& s, const Tuple& t) { return keyed(s.timestamp, t); }

}  // namespace sluice::tcp
