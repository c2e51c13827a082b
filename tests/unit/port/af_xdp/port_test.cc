// AF_XDP ports on veth pairs, in a network namespace of the test's own.
#include "port/af_xdp.h"

#include <gtest/gtest.h>

#include <cstring>

#include "veth_lab.h"

namespace sluice::test {
// In this order: EAL's threads must start inside the namespace.
inline ::testing::Environment* const lab = ::testing::AddGlobalTestEnvironment(new VethLab);
}  // namespace sluice::test

#include "eal_env.h"

namespace sluice::port {
namespace {

using test::Station;
using test::Veth;
using Frame = std::vector<uint8_t>;

Frame frame(size_t size, uint8_t seed = 1) {
  Frame f(size);
  for (size_t i = 0; i < size; i++) f[i] = static_cast<uint8_t>(seed + i * 7);
  const uint8_t header[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
  std::memcpy(f.data(), header, sizeof header);
  return f;
}

Frame content(const rte_mbuf* m) {
  const auto* p = rte_pktmbuf_mtod(m, const uint8_t*);
  return {p, p + m->data_len};
}

std::unique_ptr<PacketPool> make_pool(const char* name, unsigned packets = 4096) {
  PacketPool::Options o;
  o.packets = packets;
  o.huge_pages = false;
  auto pool = PacketPool::create(name, o);
  EXPECT_TRUE(pool.ok());
  return std::move(*pool);
}

Options options(const std::string& device, uint16_t index = 0) {
  Options o;
  o.name = device;
  o.index = index;
  o.driver = Driver::af_xdp;
  o.device = device;
  o.ring_size = 256;
  return o;
}

std::unique_ptr<Port> open_started(const Options& o, PacketPool& pool) {
  auto port = open_af_xdp(o, pool);
  EXPECT_TRUE(port.ok()) << port.error();
  if (!port) return nullptr;
  const Status s = (*port)->start();
  EXPECT_TRUE(s.ok()) << s.error();
  return std::move(*port);
}

// Frames of one queue, or fewer than `want` after two seconds without any.
std::vector<rte_mbuf*> receive(Port& port, unsigned queue, size_t want) {
  std::vector<rte_mbuf*> all;
  pollfd p{port.wait_fd(queue), POLLIN, 0};
  while (all.size() < want) {
    rte_mbuf* pkts[kMaxBurst];
    const unsigned n = port.rx_burst(queue, {}, pkts, kMaxBurst);
    all.insert(all.end(), pkts, pkts + n);
    if (n == 0 && port.arm(queue) && poll(&p, 1, 2000) <= 0) break;
  }
  return all;
}

TEST(AfXdp, FramesComeInAndGoOutByteExact) {
  NEED_LAB();
  Veth v("axa", 1, 3000);
  ASSERT_TRUE(v.ok);
  auto pool = make_pool("exact");
  {
    auto port = open_started(options("axa", 3), *pool);
    ASSERT_TRUE(port);
    EXPECT_EQ(port->info().mode, "native copy") << port->info().reason;
    EXPECT_TRUE(port->info().partial_checksums);
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

}  // namespace
}  // namespace sluice::port
