// The TCP stack's commands, misused: tcp_world.h.
#include "fuzz/tcp_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::tcp_misuse({data, size});
  return 0;
}
