/* What the test hands to the program, and gets back. */
#ifndef SLUICE_TEST_SYN_COOKIE_REQUEST_H
#define SLUICE_TEST_SYN_COOKIE_REQUEST_H

#include "syn_cookie.h"

struct cookie_request {
  struct sluice_cookie_key key;
  struct sluice_cookie_input in;
  __u32 count, mss, ts_now, scale, sack, ecn;
  __u32 check_count, check_cookie;
  /* answers */
  __u32 cookie, ts_val, check_mss;
  __s32 check_index;
};

#endif
