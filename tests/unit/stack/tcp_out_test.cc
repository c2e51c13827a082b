// What ports that cut, sum and take chains are given: the same bytes on the wire as without them, by reference, and within
// their limits; whose the references are.
#include "packet/clone_pool.h"
#include "tests/unit/stack/tcp_lab.h"

namespace sluice::test {
namespace {

constexpr TxOffloads kNone{}, kSums{.tcp_checksum = true}, kChains{true, 64, 0}, kCuts{true, 64, 64};

void put32(Octets& o, size_t at, uint32_t v) {
  put16(o, at, v >> 16);
  put16(o, at + 2, v & 0xffff);
}

// What a device makes of a packet by its flags: pieces with their own lengths, sequence numbers, flags and checksums.
std::vector<Octets> on_the_wire(const Sent& s) {
  if (!(s.ol_flags & RTE_MBUF_F_TX_TCP_CKSUM)) return {s.frame};
  const bool cut = s.ol_flags & RTE_MBUF_F_TX_TCP_SEG;
  EXPECT_EQ(bool(s.ol_flags & RTE_MBUF_F_TX_IPV4), s.l3 == 20);
  EXPECT_EQ(bool(s.ol_flags & RTE_MBUF_F_TX_IPV6), s.l3 == 40);
  const size_t tcp = s.l2 + s.l3, headers = tcp + s.l4_length;
  const Octets payload = tail(s.frame, headers);
  const size_t most = cut ? s.segment : payload.size();
  std::vector<Octets> pieces;
  for (size_t at = 0; pieces.empty() || at < payload.size(); at += most) {
    const Octets data = head(tail(payload, at), most);
    Octets f = head(s.frame, headers) + data;
    const auto length = static_cast<unsigned>(s.l4_length + data.size());
    put32(f, tcp + 4, get32(f, tcp + 4) + static_cast<uint32_t>(at));
    if (at > 0) f[tcp + 13] = static_cast<uint8_t>(f[tcp + 13] & ~wire::kTcpCwr);
    if (at + data.size() < payload.size()) f[tcp + 13] = static_cast<uint8_t>(f[tcp + 13] & ~(kFin | kPsh));
    if (s.l3 == 20) {
      put16(f, s.l2 + 2, 20 + length);
      put16(f, s.l2 + 10, 0);
      put16(f, s.l2 + 10, plain_checksum(head(tail(f, s.l2), 20)));
    } else {
      put16(f, s.l2 + 4, length);
    }
    const Octets start = words({get16(f, tcp + 16), cut ? length : 0});
    put16(f, tcp + 16, 0);
    put16(f, tcp + 16, plain_checksum(start + tail(f, tcp)));
    pieces.push_back(f);
  }
  return pieces;
}

class TcpOutTest : public TcpIpTest {
 protected:
  static constexpr unsigned kClones = 256;
  // A box whose ports can do this, and a connection on it.
  void begin(const TxOffloads& tx, unsigned clones = kClones) {
    static int number = 0;
    stack.reset();
    clones_ = std::move(ClonePool::create("clones" + std::to_string(number++), clones, 0).value());
    config.tx = tx;
    config.clones = tx.segments > 1 ? clones_->mempool() : nullptr;
    start();
    out.clear();
    listen();
    conn = accept(4000, ack);
    out.clear();
  }
  void TearDown() override {
    for (rte_mbuf* m : in_ports) rte_pktmbuf_free(m);
    in_ports.clear();
    TcpIpTest::TearDown();
    EXPECT_EQ(clones_->in_use(), 0u);
  }
  // Bytes in mbufs of these lengths, over and over; 0: the rest of it, which lies in no mbuf.
  void send(const Octets& bytes, const std::vector<uint32_t>& lengths, bool close = false) {
    std::vector<tcp::Slice> slices;
    uint32_t at = 0;
    for (size_t i = 0; at < bytes.size(); i++) {
      const auto left = static_cast<uint32_t>(bytes.size()) - at;
      const uint32_t n = lengths[i % lengths.size()];
      tcp::Slice s{.data = bytes.data() + at, .length = n ? std::min(n, left) : left};
      if (n) {
        s.m = stack->tcp().buffers().make();
        ASSERT_TRUE(s.m);
        auto* place = rte_pktmbuf_mtod(s.m, uint8_t*);
        std::memcpy(place, s.data, s.length);
        s.data = place;
        places.push_back(place);
      }
      slices.push_back(s);
      at += s.length;
    }
    ASSERT_EQ(tcp_stack().send(now, conn, slices), tcp::Outcome::ok);
    if (close) {
      ASSERT_EQ(tcp_stack().close(now, conn), tcp::Outcome::ok);
    }
    flush();
  }
  std::vector<Octets> wire_of(const std::deque<Sent>& sent) {
    std::vector<Octets> all;
    for (const Sent& s : sent)
      for (const Octets& f : on_the_wire(s)) all.push_back(f);
    return all;
  }
  // What a box sends whose ports can do nothing.
  std::vector<Octets> plain(const Octets& bytes, const std::vector<uint32_t>& lengths, bool close = false) {
    begin(kNone);
    send(bytes, lengths, close);
    for (const Sent& s : out) {
      EXPECT_EQ(s.ol_flags, 0u);
      EXPECT_EQ(s.mbufs, 1u);
      EXPECT_TRUE(sum_ok(own, peer, 6, s.l4()));
    }
    return wire_of(out);
  }
  unsigned mss() const { return six ? 1220 : 536; }  // no option said more

  const Octets text = pattern(4999);
  const std::vector<uint32_t> odd{1001, 333, 577};
  std::unique_ptr<ClonePool> clones_;
  tcp::ConnId conn;
  uint32_t ack = 0;
  std::vector<const uint8_t*> places;
};
INSTANTIATE_TEST_SUITE_P(Ip, TcpOutTest, ::testing::Bool(), [](const auto& i) { return i.param ? "v6" : "v4"; });

TEST_P(TcpOutTest, PortsThatCutGetAllOfItByReference) {
  const std::vector<Octets> expected = plain(text, odd, true);
  begin(kCuts);
  places.clear();
  send(text, odd, true);
  ASSERT_EQ(out.size(), 1u);
  const Sent& s = out.front();
  EXPECT_EQ(s.refers, places);
  EXPECT_EQ(s.mbufs, 1 + places.size());
  EXPECT_EQ(s.ol_flags, RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | (six ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
  EXPECT_EQ(s.segment, mss());
  EXPECT_EQ(s.meta.ip_length, (six ? 40 : 20) + 20 + mss()) << "links have to have room for a piece, not for the whole";
  EXPECT_EQ(get16(s.l4(), 16), plain_sum(pseudo(own, peer, 6, 0))) << "the length is left out";
  EXPECT_EQ(s.kind(), RingKind::route);
  EXPECT_EQ(get16(s.ip(), six ? 4 : 2), s.l4().size() + (six ? 0 : 20));
  EXPECT_EQ(wire_of(out), expected);
  EXPECT_EQ(account.box.created.get(), account.box.forwarded.get()) << "one packet in the books";
}

TEST_P(TcpOutTest, PortsThatTakeChainsGetSegmentsByReference) {
  const std::vector<Octets> expected = plain(text, odd);
  begin(kChains);
  send(text, odd);
  unsigned refers = 0;
  for (const Sent& s : out) {
    EXPECT_EQ(s.segment, 0u);
    EXPECT_FALSE(s.ol_flags & RTE_MBUF_F_TX_TCP_SEG);
    refers += !s.refers.empty();
  }
  EXPECT_GE(refers, out.size() - 1) << "but for the small last one";
  EXPECT_EQ(wire_of(out), expected);
}

TEST_P(TcpOutTest, BytesThatLieInNoMbufAreCopiedIntoTheChain) {
  const std::vector<Octets> expected = plain(text, {700, 0});
  begin(kCuts);
  send(text, {700, 0});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out.front().refers.size(), 1u);
  EXPECT_GT(out.front().mbufs, 2u);
  EXPECT_EQ(wire_of(out), expected);
}

TEST_P(TcpOutTest, ChainsForOneSegmentAreNotMadeOfCopies) {
  const std::vector<Octets> expected = plain(text, {0});
  begin(kChains);
  send(text, {0});
  for (const Sent& s : out) EXPECT_EQ(s.mbufs, 1u);
  EXPECT_EQ(wire_of(out), expected);
}

TEST_P(TcpOutTest, LimitsOfThePortsHold) {
  for (const TxOffloads& tx : {TxOffloads{true, 64, 4}, TxOffloads{true, 2, 64}, TxOffloads{true, 3, 5}, TxOffloads{true, 3, 0},
                               TxOffloads{true, 2, 2}, TxOffloads{true, 1, 64}, TxOffloads{false, 64, 64}, kSums}) {
    for (const auto& lengths : {odd, std::vector<uint32_t>{536, 700}, std::vector<uint32_t>{1220}, std::vector<uint32_t>{300}}) {
      const std::vector<Octets> expected = plain(text, lengths);
      begin(tx);
      send(text, lengths);
      for (const Sent& s : out) {
        EXPECT_LE(s.mbufs, s.segment ? tx.tso_segments : tx.segments);
        const size_t payload = s.l4().size() - 20;
        EXPECT_TRUE(!s.segment || &s == &out.back() || payload % s.segment == 0);
        EXPECT_EQ(s.segment > 0, payload > mss());
      }
      EXPECT_EQ(wire_of(out), expected);
      EXPECT_EQ(box_drops(DropReason::no_buffer), 0u);
    }
  }
}

// In mbufs of a segment's length, each lies in one; with a byte in front, in two.
TEST_P(TcpOutTest, EachPieceSpansAsManyMbufsAsPortsTake) {
  begin({true, 2, 64});
  send(text, {mss()});
  EXPECT_EQ(out.size(), 1u);
  std::vector<uint32_t> lengths(20, mss());
  lengths[0] = 1;
  begin({true, 2, 64});
  send(text, lengths);
  EXPECT_GT(out.size(), 1u);
  begin({true, 3, 64});
  send(text, lengths);
  EXPECT_EQ(out.size(), 1u);
}

TEST_P(TcpOutTest, LittleIsCopied) {
  begin(kCuts);
  send(pattern(200), {100});
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out.front().mbufs, 1u);
  out.clear();
  send(pattern(2000), {50});
  for (const Sent& s : out) EXPECT_EQ(s.mbufs, 1u) << "a clone for every 50 bytes costs more than they do";
}

TEST_P(TcpOutTest, WhatAPortStillHasOutlivesItsAcknowledgment) {
  begin(kCuts);
  ports_keep = true;
  send(text, {1000});
  ASSERT_EQ(in_ports.size(), 1u);
  EXPECT_EQ(stack->held_by_tcp(), 5u);
  EXPECT_EQ(pool_->in_use(), 5u + 1) << "the headers' own mbuf, beside what TCP keeps";
  EXPECT_EQ(clones_->in_use(), 5u);
  ports_keep = false;
  segment(4000, kAck, 1001, ack + static_cast<uint32_t>(text.size()));
  EXPECT_EQ(stack->held_by_tcp(), 0u);
  EXPECT_EQ(pool_->in_use(), 5u + 1) << "the port reads them still";
  Octets bytes;
  for (const rte_mbuf* m = in_ports[0]; m; m = m->next) bytes = bytes + octets_of(m);
  EXPECT_EQ(tail(bytes, 14 + (six ? 40 : 20) + 20), text);
  rte_pktmbuf_free(in_ports[0]);
  in_ports.clear();
  EXPECT_EQ(pool_->in_use(), 0u);
  EXPECT_EQ(clones_->in_use(), 0u);
}

TEST_P(TcpOutTest, WithoutClonesItIsCopied) {
  const std::vector<Octets> expected = plain(text, odd);
  begin(kCuts, 3);
  send(text, odd);
  EXPECT_EQ(wire_of(out), expected);
  EXPECT_GT(box_drops(DropReason::no_buffer), 0u) << "what was begun and given up";
  EXPECT_EQ(clones_->in_use(), 0u);
}

TEST_P(TcpOutTest, WithoutBuffersItIsALoss) {
  begin(kCuts);
  std::vector<rte_mbuf*> all;
  tcp::Slice s{.length = 1000, .m = stack->tcp().buffers().make()};
  s.data = rte_pktmbuf_mtod(s.m, uint8_t*);
  while (rte_mbuf* m = rte_pktmbuf_alloc(pool_->mempool())) all.push_back(m);
  ASSERT_EQ(tcp_stack().send(now, conn, {&s, 1}), tcp::Outcome::ok);
  flush();
  EXPECT_TRUE(out.empty());
  EXPECT_GT(box_drops(DropReason::no_buffer), 0u);
  for (rte_mbuf* m : all) rte_pktmbuf_free(m);
  advance(Duration::seconds(2));
  ASSERT_FALSE(out.empty());
  EXPECT_EQ(get32(out.front().l4(), 4), ack);
  out.clear();
}

}  // namespace
}  // namespace sluice::test
