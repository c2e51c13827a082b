#include "fuzz/tcp_targets.h"

#include <algorithm>
#include <memory>

#include "fuzz/tcp_world.h"
#include "wire/tcp_options.h"

namespace sluice::fuzz {

void tcp_options(std::span<const uint8_t> input) {
  const size_t n = std::min<size_t>(input.size(), wire::kMaxTcpOptions);
  const std::unique_ptr<uint8_t[]> exact(new uint8_t[n]);
  std::copy_n(input.begin(), n, exact.get());
  const wire::TcpOptions o = wire::parse_tcp_options({exact.get(), n});
  check(o.sack_blocks <= wire::kMaxSackBlocks);
  uint8_t out[wire::kMaxTcpOptions];
  const unsigned length = wire::build_tcp_options(out, o);
  check(length % 4 == 0 && length <= sizeof out);
  // What was built says the same, but for SACK blocks that did not fit; and building that changes nothing any more.
  wire::TcpOptions again = wire::parse_tcp_options({out, length});
  check(!again.malformed && again.sack_blocks <= o.sack_blocks);
  check(std::equal(again.sack, again.sack + again.sack_blocks, o.sack));
  wire::TcpOptions expected = o;
  expected.malformed = false;
  expected.sack_blocks = again.sack_blocks;
  for (unsigned i = again.sack_blocks; i < wire::kMaxSackBlocks; i++) expected.sack[i] = {};
  check(again == expected);
}

void tcp_segments(std::span<const uint8_t> input) { TcpWorld(Input(input), false).run(); }

void tcp_misuse(std::span<const uint8_t> input) { TcpWorld(Input(input), true).run(); }

unsigned tcp_states_seen() { return TcpWorld::states_seen(); }

}  // namespace sluice::fuzz
