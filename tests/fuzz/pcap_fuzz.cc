// Any bytes as a capture: no crash, an end, frames that lie within the capture, and the same twice; each
// frame through the link-type conversion, whose result lies within it as well. (Writes beyond a frame's
// bounds are the sanitizer's to see: each frame is copied to memory of its exact size first.)
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "port/pcap_link.h"
#include "port/pcap_reader.h"

namespace {

using sluice::port::PcapReader;

uint64_t read_all(sluice::wire::ConstBytes capture) {
  auto reader = PcapReader::from_bytes(capture, "fuzz");
  if (!reader.ok()) {
    if (reader.error().empty()) std::abort();
    return 0;
  }
  uint64_t sum = 1, frames = 0;
  PcapReader::Frame f;
  PcapReader::Next n;
  while ((n = (*reader)->next(f)) == PcapReader::Next::frame) {
    // The shortest block that holds a frame has 16 bytes.
    if (++frames > capture.size() / 16 + 1 || f.bytes.size() > capture.size()) std::abort();
    if (f.original < f.bytes.size() || f.time.ns < 0 || f.time == sluice::Instant::never()) std::abort();
    std::vector<uint8_t> exact(f.bytes.begin(), f.bytes.end());
    f.bytes = exact;
    sluice::port::LinkFrame l = sluice::port::to_ethernet(f, sluice::Mac{{2, 0, 0, 0, 0, 1}});
    if (l.payload.size() > exact.size()) std::abort();
    for (uint8_t b : l.payload) sum = sum * 31 + b;
    sum += static_cast<uint64_t>(f.time.ns);
  }
  if ((n == PcapReader::Next::broken) == (*reader)->complaint().empty()) std::abort();
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (read_all({data, size}) != read_all({data, size})) std::abort();
  return 0;
}
