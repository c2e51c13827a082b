// A stack with everything that it needs around it: pool, buffers, a sink that cuts segments into packets, and
// mbufs for what arrives. Time is the caller's.
#pragma once

#include <functional>
#include <memory>

#include "packet/pool.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "tests/sim/packet.h"

namespace sluice::sim {

// Bytes that depend on their position and on the stream they belong to: a byte lost, doubled, moved or of
// another stream shows.
class Pattern {
 public:
  static constexpr uint32_t kPeriod = 65521;
  explicit Pattern(uint64_t stream) : shift_(static_cast<uint32_t>(stream % kPeriod * 7919 % kPeriod)) {}
  // At least `kPeriod` bytes lie there, for good.
  const uint8_t* at(uint64_t position) const;
  // Where `bytes` stop being those at `position`; n: nowhere.
  uint32_t matches(uint64_t position, const uint8_t* bytes, uint32_t n) const;

 private:
  uint32_t shift_;
};

class Host : private tcp::Sink {
 public:
  // `out` is given each packet, after cutting. `most`: mbufs that Buffers lends.
  Host(rte_mempool* pool, const tcp::Config& c, uint64_t seed, uint32_t most,
       std::function<void(Packet&&)> out);

  // The packet arrives; flush() is the caller's. Tells what became of it.
  tcp::Taken deliver(Instant now, const Packet& p, uint16_t mtu = 1500);
  tcp::Stack& stack() { return stack_; }
  Buffers& buffers() { return buffers_; }
  const tcp::Counters& counters() const { return stack_.counters(); }
  // What of the next sends is refused, as a full port would.
  void refuse(unsigned sends) { refused_ = sends; }
  void refuse_when(std::function<bool()> f) { refuses_ = std::move(f); }

 private:
  bool send(const tcp::OutSegment& s) override;

  std::function<void(Packet&&)> out_;
  Buffers buffers_;
  tcp::Stack stack_;
  unsigned refused_ = 0;
  std::function<bool()> refuses_;
};

tcp::Secrets secrets_of(uint64_t seed);
// The test program's one pool; EAL must be up.
PacketPool& pool();

}  // namespace sluice::sim
