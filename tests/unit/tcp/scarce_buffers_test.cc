// A few connections that nobody reads must not take the buffers of all.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>

#include "packet/meta.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "tests/unit/eal_env.h"

namespace sluice::tcp {
namespace {

constexpr uint32_t kMost = 64;

class LastSegment final : public Sink {
 public:
  bool send(const OutSegment& s) override {
    seq = s.seq;
    window = s.window;
    return true;
  }
  Seq seq;
  uint16_t window = 0;
};

class ScarceBuffers : public ::testing::Test {
 protected:
  static rte_mempool* pool() {
    static rte_mempool* p = rte_pktmbuf_pool_create("scarce", 255, 0, kMbufPrivate, 2176, 0);
    return p;
  }
  static Config config() {
    Config c;
    c.limits.connections = 16;
    c.limits.chunks = c.limits.records = 64;
    return c;
  }

  ScarceBuffers() {
    ListenerId l;
    EXPECT_EQ(stack_.listen({.port = 9}, l), Outcome::ok);
  }
  ~ScarceBuffers() override {
    for (rte_mbuf* m : taken_) buffers_.free(m);
  }

  // A connection from this port; its next segment's numbers stand in `from`.
  InSegment open(uint16_t port) {
    InSegment s{.tuple = {Ip4::from_host(0xc6120002), Ip4::from_host(0xc6120001), 9, port}};
    s.seq = Seq{1000};
    s.flags = wire::kTcpSyn;
    s.window = 65535;
    stack_.receive(now_, s);
    s.seq = Seq{1001};
    s.ack = sink_.seq + 1;
    s.flags = wire::kTcpAck;
    stack_.receive(now_, s);
    collect();
    return s;
  }

  Taken data(InSegment& s, uint16_t length) {
    s.m = rte_pktmbuf_alloc(pool());
    rte_pktmbuf_append(s.m, length);
    s.length = length;
    const Taken t = stack_.receive(now_, s);
    if (t.by != Taken::By::library) rte_pktmbuf_free(s.m);
    else s.seq += length;
    stack_.flush(now_);
    collect();
    return t;
  }

  // The application takes what there is, and is never done with it.
  void collect() {
    std::array<Event, 16> e;
    while (const unsigned n = stack_.events(e))
      for (unsigned i = 0; i < n; i++)
        if (e[i].kind == EventKind::data) taken_.push_back(e[i].m);
  }

  Instant now_{1'000'000'000};
  Buffers buffers_{pool(), kMost};
  LastSegment sink_;
  Stack stack_{config(), Secrets{}, buffers_, sink_};
  std::vector<rte_mbuf*> taken_;
};

TEST_F(ScarceBuffers, TheLastQuarterIsForThoseThatHoldLittle) {
  InSegment greedy = open(1), modest = open(2);
  unsigned kept = 0;
  Taken t;
  while ((t = data(greedy, 1000)).by == Taken::By::library) kept++;
  EXPECT_EQ(t.by, Taken::By::nobody);
  EXPECT_EQ(t.reason, DropReason::tcp_memory);
  EXPECT_EQ(kept, kMost / 4 * 3 + 1);
  EXPECT_EQ(stack_.counters().memory_dropped, 1u);
  for (unsigned i = 0; i < 10; i++) EXPECT_EQ(data(modest, 1000).by, Taken::By::library) << i;
  InSegment fresh = open(3);
  EXPECT_EQ(data(fresh, 1000).by, Taken::By::library);
}

TEST_F(ScarceBuffers, ANewConnectionIsOfferedASmallWindow) {
  InSegment greedy = open(1);
  EXPECT_EQ(sink_.window, 65535u);
  while (data(greedy, 1000).by == Taken::By::library) {}
  open(2);
  EXPECT_EQ(sink_.window, 16384u);
}

}  // namespace
}  // namespace sluice::tcp
