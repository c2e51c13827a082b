#include "tcp/cookie.h"

#include <algorithm>
#include <cstring>

#include "syn_cookie.h"

namespace sluice::tcp {
namespace {

constexpr uint8_t kMaxWindowScale = 14;  // RFC 7323 2.3

sluice_cookie_input input(const Tuple& t, Seq irs) {
  sluice_cookie_input in;
  std::memcpy(in.local, t.local.b.data(), sizeof in.local);
  std::memcpy(in.remote, t.remote.b.data(), sizeof in.remote);
  in.local_port = t.local_port;
  in.remote_port = t.remote_port;
  in.irs = irs.v;
  return in;
}

sluice_cookie_key key_of(const Secrets& s) { return {s.cookie[0], s.cookie[1]}; }

uint32_t count_at(Instant now) {
  return static_cast<uint32_t>(now.ns / Duration::seconds(SLUICE_COOKIE_PERIOD).ns);
}

}  // namespace

Cookie make_cookie(const Secrets& s, Instant now, const Tuple& t, Seq irs, const CookieOffer& o, uint32_t ts_now) {
  const sluice_cookie_input in = input(t, irs);
  const sluice_cookie_key key = key_of(s);
  const uint32_t scale =
      o.window_scaling ? std::min(o.window_scale, kMaxWindowScale) : uint32_t{SLUICE_COOKIE_TS_NO_SCALE};
  return {.iss = {sluice_cookie_make(&key, &in, count_at(now), sluice_cookie_mss_index(o.mss))},
          .ts_val = sluice_cookie_timestamp(ts_now, sluice_cookie_ts_bits(scale, o.sack, o.ecn))};
}

bool check_cookie(const Secrets& s, Instant now, const Tuple& t, Seq irs, Seq iss, const uint32_t* ts_ecr,
                  CookieOffer& o) {
  const sluice_cookie_input in = input(t, irs);
  const sluice_cookie_key key = key_of(s);
  const int index = sluice_cookie_check(&key, &in, count_at(now), iss.v);
  if (index < 0) return false;
  o = {.mss = static_cast<uint16_t>(sluice_cookie_mss(static_cast<uint32_t>(index)))};
  if (!ts_ecr) return true;
  o.timestamps = true;
  o.sack = *ts_ecr & SLUICE_COOKIE_TS_SACK;
  o.ecn = *ts_ecr & SLUICE_COOKIE_TS_ECN;
  const uint8_t scale = *ts_ecr & 15;
  o.window_scaling = scale <= kMaxWindowScale;
  if (o.window_scaling) o.window_scale = scale;
  return true;
}

}  // namespace sluice::tcp
