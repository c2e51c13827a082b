// SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause
//
// The cookie functions as the kernel runs them: the frame is a request, and is answered in place.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "syn_cookie.h"
#include "syn_cookie_request.h"

SEC("xdp")
int cookie(struct xdp_md *ctx) {
  struct cookie_request *r = (void *)(long)ctx->data;
  if ((void *)(r + 1) > (void *)(long)ctx->data_end) return XDP_ABORTED;
  r->cookie = sluice_cookie_make(&r->key, &r->in, r->count, sluice_cookie_mss_index(r->mss));
  r->ts_val = sluice_cookie_timestamp(r->ts_now, sluice_cookie_ts_bits(r->scale, r->sack, r->ecn));
  const int index = sluice_cookie_check(&r->key, &r->in, r->check_count, r->check_cookie);
  r->check_index = index;
  r->check_mss = index < 0 ? 0 : sluice_cookie_mss(index);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
