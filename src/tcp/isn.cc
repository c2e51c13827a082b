#include "tcp/isn.h"

#include "tcp_keyed.h"

namespace sluice::tcp {
namespace {

uint32_t keyed(const uint64_t (&key)[2], const Tuple& t) {
  const sluice_cookie_key k{key[0], key[1]};
  const __u64 local[] = {t.local.v6().hi(), t.local.v6().lo()}, remote[] = {t.remote.v6().hi(), t.remote.v6().lo()};
  return sluice_tcp_keyed(&k, local, remote, t.local_port, t.remote_port);
}

}  // namespace

Seq initial_sequence(const Secrets& s, Instant now, const Tuple& t) {
  return {static_cast<uint32_t>(now.ns / 4000) + keyed(s.isn, t)};
}

uint32_t timestamp_offset(const Secrets& s, const Tuple& t) { return keyed(s.timestamp, t); }

}  // namespace sluice::tcp
