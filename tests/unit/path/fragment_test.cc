#include "path/fragment.h"

#include <gtest/gtest.h>

#include <map>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/parse.h"
#include "tests/unit/frames.h"

namespace sluice::path {
namespace {

using namespace sluice::test;

class Fragment : public ::testing::Test {
 protected:
  void SetUp() override {
    auto p = PacketPool::create("fragment", {.packets = 64, .cache = 0, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    pool_ = std::move(*p);
  }
  void TearDown() override { EXPECT_EQ(pool_->in_use(), 0u); }

  // The IP packets of the fragments of `ip`, each checked as a packet of its own.
  std::vector<Octets> cut(const Octets& ip, uint16_t mtu, unsigned room = 64) {
    Interface lan;
    lan.mac = kOurs;
    lan.mtu = 9000;
    ExactMbuf m(eth(ip, 0x0800, kOurs, kTheirs));
    Meta meta;
    EXPECT_EQ(parse(m, lan, meta), DropReason::count_);
    rte_mbuf* out[64];
    const unsigned n = fragment4(m, meta, mtu, pool_->mempool(), out, room);
    EXPECT_EQ(m.frame(), eth(ip, 0x0800, kOurs, kTheirs));
    std::vector<Octets> pieces;
    for (unsigned i = 0; i < n; ++i) {
      const Octets f = octets_of(out[i]);
      EXPECT_EQ(Octets(f.begin(), f.begin() + 14), eth({}, 0x0800, kOurs, kTheirs));
      const Octets p(f.begin() + 14, f.end());
      EXPECT_EQ(get16(p, 2), p.size());
      EXPECT_LE(p.size(), mtu);
      EXPECT_EQ(plain_sum(Octets(p.begin(), p.begin() + header(p))), 0xffffu);
      EXPECT_EQ(out[i]->pkt_len, out[i]->data_len);
      pieces.push_back(p);
      rte_pktmbuf_free(out[i]);
    }
    EXPECT_EQ(pool_->in_use(), 0u);
    return pieces;
  }
  static unsigned header(const Octets& p) { return (p[0] & 15u) * 4; }
  static unsigned offset(const Octets& p) { return (get16(p, 6) & 0x1fff) * 8; }
  static bool more(const Octets& p) { return get16(p, 6) & 0x2000; }
  static Octets data(const Octets& p) { return Octets(p.begin() + header(p), p.end()); }
  static Octets options(const Octets& p) { return Octets(p.begin() + 20, p.begin() + header(p)); }

  std::unique_ptr<PacketPool> pool_;
};

TEST_F(Fragment, EverySizeFitsTogetherAgain) {
  for (size_t size : {1381u, 1382u, 1387u, 1388u, 1400u, 1479u, 1480u, 2761u, 3000u}) {
    for (uint16_t mtu : std::initializer_list<uint16_t>{68, 576, 577, 583, 1280, 1400}) {
      const Octets body = pattern(size);
      const auto pieces = cut(ip4({.proto = 253, .ttl = 63, .tos = 0xb9, .id = 0xffff}, body), mtu);
      ASSERT_GT(pieces.size(), 1u);
      const size_t most = (mtu - 20u) & ~7u;
      EXPECT_EQ(pieces.size(),
                (size + most - 1) / most - (size % most <= (mtu - 20u) % 8 && size % most ? 1 : 0));
      Octets whole;
      for (const Octets& p : pieces) {
        EXPECT_EQ(offset(p), whole.size());
        EXPECT_EQ(get16(p, 4), 0xffffu);
        EXPECT_EQ(p[1], 0xb9);
        EXPECT_EQ(p[8], 63);
        EXPECT_EQ(get16(p, 6) & 0xc000, 0u);
        EXPECT_EQ(more(p), &p != &pieces.back());
        whole = whole + data(p);
      }
      EXPECT_EQ(whole, body);
    }
  }
}

TEST_F(Fragment, PiecesOfAFragmentKeepOffsetAndMoreFragments) {
  const Octets body = pattern(1480);
  for (bool last : {false, true}) {
    const auto pieces = cut(ip4({.proto = 17, .frag = (last ? 0u : 0x2000u) | 100}, body), 1400);
    ASSERT_EQ(pieces.size(), 2u);
    EXPECT_EQ(offset(pieces[0]), 800u);
    EXPECT_EQ(offset(pieces[1]), 800u + 1376);
    EXPECT_TRUE(more(pieces[0]));
    EXPECT_EQ(more(pieces[1]), !last);
    EXPECT_EQ(data(pieces[0]) + data(pieces[1]), body);
  }
}

TEST_F(Fragment, OffsetsAtTheEndOfTheField) {
  const auto pieces = cut(ip4({.proto = 17, .frag = (65535 - 20 - 1480) / 8}, pattern(1480)), 1400);
  ASSERT_EQ(pieces.size(), 2u);
  EXPECT_FALSE(more(pieces[1]));
  EXPECT_EQ(offset(pieces[1]), (65535u - 20 - 1480) / 8 * 8 + 1376);
  // A ping of death cut up would wrap its offset into a harmless one.
  EXPECT_TRUE(cut(ip4({.proto = 17, .frag = 0x1fff}, pattern(1480)), 1400).empty());
  EXPECT_TRUE(cut(ip4({.proto = 17, .frag = 0x1f80}, pattern(1480)), 576).empty());
}

TEST_F(Fragment, OptionsByTheirCopyFlag) {
  const Octets body = pattern(1400);
  struct {
    Octets all, later;
  } table[] = {
      {{0x94, 4, 0, 0}, {0x94, 4, 0, 0}},
      {{0x44, 8, 5, 0, 0, 0, 0, 0}, {}},
      {{0xde, 4, 'a', 'b', 0x5e, 4, 'c', 'd'}, {0xde, 4, 'a', 'b'}},
      {{0x5e, 4, 'c', 'd', 0xde, 4, 'a', 'b'}, {0xde, 4, 'a', 'b'}},
      {{1, 1, 0x82, 3, 9, 1, 7, 3, 4, 0x88, 4, 7, 7, 0, 0xff, 0xff}, {0x82, 3, 9, 0x88, 4, 7, 7, 0}},
      {zeros(40, 1), {}},
      {Octets{0x9e, 40} + pattern(38), Octets{0x9e, 40} + pattern(38)},
      {{0x94, 9, 0, 0}, {}},  // malformed: only what makes sense is copied
  };
  for (const auto& t : table) {
    const auto pieces = cut(ip4({.options = t.all}, body), 576);
    ASSERT_GE(pieces.size(), 3u);
    Octets first = t.all, whole;
    while (first.size() % 4) first.push_back(0);
    EXPECT_EQ(options(pieces[0]), first);
    for (const Octets& p : pieces) {
      if (&p != &pieces[0]) {
        EXPECT_EQ(options(p), t.later);
      }
      EXPECT_EQ(offset(p), whole.size());
      whole = whole + data(p);
    }
    EXPECT_EQ(whole, body);
  }
}

TEST_F(Fragment, FailsWholeOrNotAtAll) {
  const Octets ip = ip4({}, pattern(1480));
  EXPECT_EQ(cut(ip, 576, 3).size(), 3u);
  EXPECT_TRUE(cut(ip, 576, 2).empty());
  EXPECT_TRUE(cut(ip, 576, 0).empty());
  EXPECT_TRUE(cut(ip, 27).empty());
  EXPECT_TRUE(cut(ip, 0).empty());
  EXPECT_EQ(cut(ip4({}, pattern(20)), 28).size(), 3u);
  EXPECT_TRUE(cut(ip4({.options = zeros(40, 1)}, pattern(100)), 67).empty());
  // An empty pool at every step, and nothing stays behind.
  std::vector<rte_mbuf*> held;
  for (rte_mbuf* m; (m = rte_pktmbuf_alloc(pool_->mempool()));) held.push_back(m);
  for (unsigned free = 0; free < 3; ++free) {
    Interface lan;
    lan.mac = kOurs;
    ExactMbuf m(eth(ip, 0x0800));
    Meta meta;
    ASSERT_EQ(parse(m, lan, meta), DropReason::count_);
    rte_mbuf* out[8];
    EXPECT_EQ(fragment4(m, meta, 576, pool_->mempool(), out, 8), 0u);
    EXPECT_EQ(pool_->in_use(), held.size());
    rte_pktmbuf_free(held.back());
    held.pop_back();
  }
  for (rte_mbuf* m : held) rte_pktmbuf_free(m);
}

}  // namespace
}  // namespace sluice::path
