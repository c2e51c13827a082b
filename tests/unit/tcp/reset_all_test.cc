// The end of all connections at once, when the box stops.
#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include <array>
#include <map>

#include "packet/meta.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "tests/unit/eal_env.h"

namespace sluice::tcp {
namespace {

// The last of what was sent to each port of the peer, and the resets among it.
class Segments final : public Sink {
 public:
  struct Told {
    Seq seq;
    uint8_t flags = 0;
    unsigned resets = 0;
  };
  bool send(const OutSegment& s) override {
    Told& t = to[s.tuple.remote_port];
    t.seq = s.seq;
    t.flags = s.flags;
    t.resets += (s.flags & wire::kTcpRst) != 0;
    return true;
  }
  std::map<uint16_t, Told> to;
};

class ResetAll : public ::testing::Test {
 protected:
  static constexpr uint16_t kFirst = 10000, kConnections = 1000;

  static rte_mempool* pool() {
    static rte_mempool* p = rte_pktmbuf_pool_create("reset_all", 255, 0, kMbufPrivate, 2176, 0);
    return p;
  }
  static Config config() {
    Config c;
    c.limits.connections = kConnections + 16;
    c.limits.chunks = c.limits.records = 4096;
    return c;
  }
  ResetAll() {
    ListenerId l;
    EXPECT_EQ(stack_.listen({.port = 9}, l), Outcome::ok);
  }

  InSegment segment(uint16_t port, uint8_t flags) {
    InSegment s{.tuple = {Ip4::from_host(0xc6120002), Ip4::from_host(0xc6120001), 9, port}};
    s.seq = Seq{1001};
    s.ack = sink_.to[port].seq + 1;
    s.flags = flags;
    s.window = 65535;
    return s;
  }
  void receive(const InSegment& s) {
    stack_.receive(now_, s);
    stack_.flush(now_);
  }
  void syn(uint16_t port) {
    InSegment s = segment(port, wire::kTcpSyn);
    s.seq = Seq{1000};
    receive(s);
  }
  void open(uint16_t port) {
    syn(port);
    receive(segment(port, wire::kTcpAck));
  }
  // Until the end; how many batches.
  unsigned reset_all(unsigned slots) {
    unsigned batches = 0;
    uint32_t cursor = 0;
    do {
      const auto before = stack_.counters().out_resets;
      cursor = stack_.reset_some(now_, cursor, slots);
      EXPECT_LE(stack_.counters().out_resets - before, slots);
      batches++;
    } while (cursor != 0);
    return batches;
  }
  std::map<ConnId, Event, bool (*)(ConnId, ConnId)> ends() {
    std::map<ConnId, Event, bool (*)(ConnId, ConnId)> all([](ConnId a, ConnId b) { return a.index < b.index; });
    std::array<Event, 64> e;
    while (const unsigned n = stack_.events(e))
      for (unsigned i = 0; i < n; i++)
        if (e[i].kind == EventKind::failed) all.emplace(e[i].conn, e[i]);
    return all;
  }

  Instant now_{1'000'000'000};
  Buffers buffers_{pool(), 200};
  Segments sink_;
  Stack stack_{config(), Secrets{}, buffers_, sink_};
};

TEST_F(ResetAll, EachConnectionOnceInBatches) {
  for (uint16_t i = 0; i < kConnections; i++) open(static_cast<uint16_t>(kFirst + i));
  ASSERT_EQ(stack_.sizes().connections, kConnections);
  std::map<uint16_t, Seq> next;
  for (const auto& [port, told] : sink_.to) next[port] = told.seq + 1;  // behind the SYN-ACK
  EXPECT_EQ(reset_all(64), kConnections / 64 + 1u);
  for (const auto& [port, told] : sink_.to) {
    EXPECT_EQ(told.resets, 1u) << port;
    EXPECT_EQ(told.seq, next[port]) << "RFC 5961 3.2: only what is exactly next ends it at once";
  }
  const auto told = ends();
  EXPECT_EQ(told.size(), kConnections);
  for (const auto& [id, e] : told) EXPECT_EQ(e.failure, Failure::aborted);
  EXPECT_EQ(stack_.sizes().connections, 0u);
  reset_all(64);
  EXPECT_EQ(stack_.counters().out_resets, kConnections) << "nobody is told twice";
}

TEST_F(ResetAll, NothingIsSaidToWhoWaitsForNothing) {
  // In TIME-WAIT: closed by us, then by the peer.
  open(kFirst);
  std::array<Event, 4> e;
  ASSERT_GE(stack_.events(e), 1u);
  ASSERT_EQ(stack_.close(now_, e[0].conn), Outcome::ok);
  stack_.flush(now_);
  receive(segment(kFirst, wire::kTcpFin | wire::kTcpAck));
  ASSERT_EQ(stack_.sizes().time_wait, 1u);
  // In SYN-SENT: the peer has not answered.
  ConnId id;
  ASSERT_EQ(stack_.connect(now_, {.tuple = {Ip4::from_host(0xc6120002), Ip4::from_host(0xc6120001), 5000, 80}}, id), Outcome::ok);
  // In SYN-RECEIVED: it has, and may wait for a greeting.
  syn(kFirst + 1);
  reset_all(64);
  EXPECT_EQ(sink_.to[kFirst].resets, 0u);
  EXPECT_EQ(sink_.to[80].resets, 0u);
  EXPECT_EQ(sink_.to[kFirst + 1].resets, 1u);
  EXPECT_EQ(stack_.sizes().time_wait, 1u);
  ASSERT_EQ(ends().size(), 1u);
  EXPECT_EQ(stack_.sizes().connections, 1u) << "TIME-WAIT alone";
}

TEST_F(ResetAll, WithoutListenersNothingNewBegins) {
  open(kFirst);
  stack_.unlisten_all();
  EXPECT_EQ(stack_.sizes().listeners, 0u);
  syn(kFirst + 1);
  EXPECT_EQ(sink_.to[kFirst + 1].resets, 1u);
  EXPECT_EQ(sink_.to[kFirst].resets, 0u) << "what is open stays open";
  EXPECT_EQ(stack_.sizes().connections, 1u);
}

// Linux says nothing to a reset behind its window.
TEST_F(ResetAll, AClosedWindowIsNotReachedBeyond) {
  open(kFirst);
  std::array<Event, 4> e;
  ASSERT_GE(stack_.events(e), 1u);
  InSegment s = segment(kFirst, wire::kTcpAck);
  const Seq next = s.ack;
  s.window = 0;
  receive(s);
  static constexpr uint8_t kText[100] = {};
  const Slice text{kText, sizeof kText, nullptr, nullptr};
  ASSERT_EQ(stack_.send(now_, e[0].conn, {&text, 1}), Outcome::ok);
  stack_.flush(now_);
  now_ = stack_.next_deadline();
  stack_.tick(now_);
  const auto info = stack_.info(now_, e[0].conn);
  ASSERT_TRUE(info && info->snd_nxt == next + 1) << "a probe of one byte";
  reset_all(64);
  EXPECT_EQ(sink_.to[kFirst].resets, 1u);
  EXPECT_EQ(sink_.to[kFirst].seq, next);
}

// A peer that missed bytes takes the reset for a forgery, and asks (RFC 5961 3.2): what is left answers it.
TEST_F(ResetAll, AChallengeIsAnsweredWithTheRightReset) {
  open(kFirst);
  reset_all(64);
  InSegment s = segment(kFirst, wire::kTcpAck);
  s.ack = sink_.to[kFirst].seq - 500;
  receive(s);
  EXPECT_EQ(sink_.to[kFirst].resets, 2u);
  EXPECT_EQ(sink_.to[kFirst].seq, s.ack);
}

}  // namespace
}  // namespace sluice::tcp
