// Segments against every state of the TCP stack: tcp_world.h.
#include "fuzz/tcp_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::fuzz::tcp_segments({data, size});
  return 0;
}
