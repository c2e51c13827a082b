// TCP options, as bytes: tcp_targets.h.
#include "fuzz/tcp_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::tcp_options({data, size});
  return 0;
}
