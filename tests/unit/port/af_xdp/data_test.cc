// Frames through AF_XDP ports on veth pairs: contents, ownership, rings that run full or empty.
#include "lab.h"

#include <map>

namespace sluice::test {
namespace {

using port::Options;

TEST(AfXdpData, FramesComeInAndGoOutByteExact) {
  NEED_LAB();
  Veth v("axa", 1, 3000);
  ASSERT_TRUE(v.ok);
  auto pool = make_pool();
  {
    auto port = open_started(options("axa", 3), *pool);
    ASSERT_TRUE(port);
    EXPECT_EQ(port->info().mode, "native copy") << port->info().reason;
    EXPECT_TRUE(port->info().partial_checksums);
    EXPECT_TRUE(port->link_up());
    Station far(v.peer());
    for (size_t size : {60u, 61u, 128u, 1514u, 3014u}) {
      ASSERT_TRUE(far.send(frame(size)));
      auto got = receive(*port, 0, 1);
      ASSERT_EQ(got.size(), 1u) << size;
      EXPECT_EQ(content(got[0]), frame(size));
      EXPECT_EQ(got[0]->port, 3);
      EXPECT_EQ(rte_pktmbuf_headroom(got[0]), 256);
      EXPECT_EQ(got[0]->nb_segs, 1);
      EXPECT_EQ(got[0]->pkt_len, size);
      ASSERT_EQ(port->tx_burst(0, {}, got.data(), 1), 1u);
      EXPECT_EQ(far.receive(), frame(size));
    }
    port->stop();
    EXPECT_EQ(port->stats().held, 0u);
  }
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, LongestFramePassesInGenericModeToo) {
  NEED_LAB();
  Veth v("axb", 1, port::kXdpMaxMtu);
  auto pool = make_pool();
  auto port = open_started(options("axb"), *pool);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->info().mode, "generic");
  EXPECT_NE(port->info().reason.find("no native copy: "), std::string::npos) << port->info().reason;
  Station far(v.peer());
  const Frame longest = frame(port::kXdpMaxMtu + 14);
  ASSERT_TRUE(far.send(longest));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(content(got[0]), longest);
  ASSERT_EQ(port->tx_burst(0, {}, got.data(), 1), 1u);
  EXPECT_EQ(far.receive(), longest);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, PortToPortByAddressAlone) {
  NEED_LAB();
  Veth va("axa"), vb("axb");
  auto pool = make_pool();
  auto a = open_started(options("axa", 0), *pool), b = open_started(options("axb", 1), *pool);
  ASSERT_TRUE(a && b);
  Station far_a(va.peer()), far_b(vb.peer());
  const unsigned at_rest = pool->in_use();
  for (unsigned i = 0; i < 1000; i++) {  // several times round both rings
    ASSERT_TRUE(far_a.send(frame(60 + i, i)));
    auto got = receive(*a, 0, 1);
    ASSERT_EQ(got.size(), 1u);
    const void* bytes = rte_pktmbuf_mtod(got[0], void*);
    EXPECT_GE(bytes, pool->memory());
    EXPECT_LT(bytes, pool->memory() + pool->memory_size());
    ASSERT_EQ(b->tx_burst(0, {}, got.data(), 1), 1u);
    ASSERT_EQ(far_b.receive(), frame(60 + i, i));
    b->turn(0, {});
    EXPECT_LE(pool->in_use(),
              at_rest + 64);  // what refill has not replaced yet, and no second mbuf per frame
  }
  EXPECT_EQ(extended(b->stats(), "tx_copied"), 0u);
  EXPECT_EQ(extended(a->stats(), "xdp_redirected"), 1000u);
  EXPECT_EQ(a->stats().missed, 0u);
  a->stop();
  b->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

Frame udp_frame(uint16_t port) {
  Frame f = frame(60);
  const uint8_t ip[] = {8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 198, 18, 0, 1, 198, 18, 0, 2};
  std::memcpy(&f[12], ip, sizeof ip);
  f[34] = static_cast<uint8_t>(port >> 8), f[35] = static_cast<uint8_t>(port);
  return f;
}

TEST(AfXdpData, TwoQueues) {
  NEED_LAB();
  Veth v("axa", 2);
  auto pool = make_pool();
  Options o = options("axa");
  o.queues = 2;
  auto port = open_started(o, *pool);
  ASSERT_TRUE(port);
  EXPECT_EQ(port->info().rx_queues, 2u);
  Station far(v.peer());
  std::map<Frame, unsigned> sent;
  for (uint16_t p = 0; p < 64; p++) {
    sent[udp_frame(p)]++;
    ASSERT_TRUE(far.send(udp_frame(p)));
  }
  unsigned got[2] = {};
  EXPECT_TRUE(until([&] {
    for (unsigned q : {0u, 1u}) {
      rte_mbuf* m;
      if (port->rx_burst(q, {}, &m, 1) == 0) continue;
      got[q]++;
      sent[content(m)]--;
      EXPECT_EQ(port->tx_burst(q, {}, &m, 1), 1u);
      EXPECT_FALSE(far.receive().empty());
    }
    return got[0] + got[1] == 64;
  }));
  EXPECT_GT(got[0], 0u);
  EXPECT_GT(got[1], 0u);
  for (const auto& [f, n] : sent) EXPECT_EQ(n, 0u);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, ClonesChainsAndForeignBuffers) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  rte_mempool* other = rte_pktmbuf_pool_create("other", 255, 0, 64, 2048, -1);
  ASSERT_TRUE(other);
  auto port = open_started(options("axa"), *pool);
  ASSERT_TRUE(port);
  Station far(v.peer());
  const auto expect_sent = [&](rte_mbuf* m, const Frame& f) {
    ASSERT_EQ(port->tx_burst(0, {}, &m, 1), 1u);
    EXPECT_EQ(far.receive(), f);
  };

  rte_mbuf* original = mbuf(pool->mempool(), frame(100));
  rte_mbuf* clone = rte_pktmbuf_clone(original, pool->mempool());
  expect_sent(clone, frame(100));
  rte_mbuf_refcnt_update(original, 1);  // as a flood to several ports does
  expect_sent(original, frame(100));
  EXPECT_EQ(extended(port->stats(), "tx_copied"), 0u);
  expect_sent(original, frame(100));  // the last reference

  const Frame whole = frame(300);
  rte_mbuf* chain = mbuf(pool->mempool(), Frame(whole.begin(), whole.begin() + 100));
  rte_pktmbuf_chain(chain, mbuf(pool->mempool(), Frame(whole.begin() + 100, whole.end())));
  expect_sent(chain, whole);
  expect_sent(mbuf(other, frame(200)), frame(200));
  rte_mbuf* foreign = mbuf(other, frame(150));
  expect_sent(rte_pktmbuf_clone(foreign, pool->mempool()), frame(150));
  rte_pktmbuf_free(foreign);
  EXPECT_EQ(extended(port->stats(), "tx_copied"), 3u);

  rte_mbuf* empty = rte_pktmbuf_alloc(pool->mempool());
  EXPECT_EQ(port->tx_burst(0, {}, &empty, 1), 1u);
  rte_mbuf* giant = mbuf(pool->mempool(), frame(3000));
  rte_pktmbuf_chain(giant, mbuf(pool->mempool(), frame(3000)));
  EXPECT_EQ(port->tx_burst(0, {}, &giant, 1), 1u);
  EXPECT_EQ(port->stats().tx_errors, 2u);

  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(rte_mempool_in_use_count(other), 0u);
  rte_mempool_free(other);
}

// A burst to one port of the same mbuf many times over, as a seeded duplicator makes.
TEST(AfXdpData, OneFrameManyTimesInOneRing) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  Station far(v.peer());
  rte_mbuf* m = mbuf(pool->mempool(), frame(80));
  std::vector<rte_mbuf*> many(64, m);
  rte_mbuf_refcnt_update(m, 63);
  ASSERT_EQ(port->tx_burst(0, {}, many.data(), 64), 64u);
  for (int i = 0; i < 64; i++) ASSERT_EQ(far.receive(), frame(80));
  EXPECT_TRUE(far.receive(50).empty());
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, WhatIsAcceptedIsSentAndTheRestStaysTheCallers) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  Station far(v.peer());
  const unsigned at_rest = pool->in_use();
  unsigned accepted = 0, refused = 0;
  for (unsigned i = 0; i < 40; i++) {
    std::vector<rte_mbuf*> burst;
    for (unsigned k = 0; k < kMaxBurst; k++) burst.push_back(mbuf(pool->mempool(), frame(64, k)));
    const unsigned n = port->tx_burst(0, {}, burst.data(), kMaxBurst);
    accepted += n;
    refused += kMaxBurst - n;
    for (unsigned k = n; k < kMaxBurst; k++) rte_pktmbuf_free(burst[k]);
  }
  for (unsigned i = 0; i < accepted; i++) {
    port->turn(0, {});
    ASSERT_FALSE(far.receive().empty()) << i << " of " << accepted << ", refused " << refused;
  }
  EXPECT_TRUE(far.receive(50).empty());
  port->turn(0, {});
  EXPECT_EQ(pool->in_use(), at_rest);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, FramesThatNobodyTakesAreCountedAsMissed) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool();
  auto port = open_started(options("axa"), *pool);
  Station far(v.peer());
  std::vector<Frame> frames;
  for (unsigned i = 0; i < 400; i++) frames.push_back(frame(60, i));
  send_all(far, *port, frames);
  auto got = receive(*port, 0, 400, 100);
  for (unsigned i = 0; i < got.size(); i++) EXPECT_EQ(content(got[i]), frame(60, i));
  EXPECT_EQ(got.size(), 256u);  // the ring, in order
  EXPECT_EQ(port->stats().missed, 400 - got.size());
  for (rte_mbuf* m : got) rte_pktmbuf_free(m);
  port->stop();
  EXPECT_EQ(port->stats().missed, 400 - got.size());
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(AfXdpData, AnEmptyPoolIsCountedAndGotOver) {
  NEED_LAB();
  Veth v("axa");
  auto pool = make_pool(300);
  auto port = open_started(options("axa"), *pool);
  ASSERT_TRUE(port);
  Station far(v.peer());
  std::vector<rte_mbuf*> hoard;
  for (unsigned i = 0; i < 600; i++) {
    send_all(far, *port, {frame(60, i)});
    rte_mbuf* pkts[kMaxBurst];
    const unsigned n = port->rx_burst(0, {}, pkts, kMaxBurst);
    hoard.insert(hoard.end(), pkts, pkts + n);
  }
  EXPECT_GT(port->stats().no_mbuf, 0u);
  EXPECT_GT(port->stats().missed, 0u);
  EXPECT_EQ(hoard.size() + port->stats().missed, 600u);
  for (rte_mbuf* m : hoard) rte_pktmbuf_free(m);
  port->turn(0, {});
  ASSERT_TRUE(far.send(frame(99)));
  auto got = receive(*port, 0, 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(content(got[0]), frame(99));
  rte_pktmbuf_free(got[0]);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
}

}  // namespace
}  // namespace sluice::test
