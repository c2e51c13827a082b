// What the AF_XDP tests share: pools, ports, frames. Include in one source of a test program: it also starts
// EAL, inside the program's network namespace.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>

#include "port/af_xdp.h"
#include "veth_lab.h"

namespace sluice::test {
// Before EAL, whose threads must start inside the namespace.
inline ::testing::Environment* const lab = ::testing::AddGlobalTestEnvironment(new VethLab);
}  // namespace sluice::test

#include "eal_env.h"

namespace sluice::test {

using Frame = std::vector<uint8_t>;

// An experimental EtherType, so that no kernel answers.
inline Frame frame(size_t size, unsigned seed = 1) {
  Frame f(size);
  for (size_t i = 0; i < size; i++) f[i] = static_cast<uint8_t>(seed * 31 + i * 7 + (i >> 8));
  const uint8_t header[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
  std::memcpy(f.data(), header, sizeof header);
  return f;
}

inline Frame content(const rte_mbuf* m) {
  Frame all;
  for (; m; m = m->next) {
    const auto* p = rte_pktmbuf_mtod(m, const uint8_t*);
    all.insert(all.end(), p, p + m->data_len);
  }
  return all;
}

inline rte_mbuf* mbuf(rte_mempool* pool, const Frame& f) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool);
  std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(f.size())), f.data(), f.size());
  return m;
}

inline std::unique_ptr<PacketPool> make_pool(unsigned packets = 4096) {
  static int number = 0;
  PacketPool::Options o;
  o.packets = packets;
  o.cache = std::min(256u, packets / 8);
  o.huge_pages = false;
  auto pool = PacketPool::create("pool" + std::to_string(number++), o);
  EXPECT_TRUE(pool.ok());
  return std::move(*pool);
}

inline port::Options options(const std::string& device, uint16_t index = 0) {
  port::Options o;
  o.name = device;
  o.index = index;
  o.driver = port::Driver::af_xdp;
  o.device = device;
  o.ring_size = 256;
  return o;
}

inline std::unique_ptr<port::Port> open_started(const port::Options& o, PacketPool& pool) {
  auto port = port::open_af_xdp(o, pool);
  EXPECT_TRUE(port.ok()) << port.error();
  if (!port) return nullptr;
  const Status s = (*port)->start();
  EXPECT_TRUE(s.ok()) << s.error();
  return std::move(*port);
}

inline std::string refusal(const port::Options& o, PacketPool& pool) {
  auto port = port::open_af_xdp(o, pool);
  return port.ok() ? "" : port.error();
}

// Frames of one queue: `want` of them, or what there was when none came for `ms`.
inline std::vector<rte_mbuf*> receive(port::Port& port, unsigned queue, size_t want, int ms = 5000) {
  std::vector<rte_mbuf*> all;
  pollfd p{port.wait_fd(queue), POLLIN, 0};
  while (all.size() < want) {
    rte_mbuf* pkts[kMaxBurst];
    const unsigned n = port.rx_burst(queue, {}, pkts, kMaxBurst);
    all.insert(all.end(), pkts, pkts + n);
    if (n == 0 && port.arm(queue) && poll(&p, 1, ms) <= 0) break;
  }
  return all;
}

inline uint64_t extended(const port::Stats& s, const std::string& name) {
  for (const auto& [key, n] : s.extended)
    if (key == name) return n;
  ADD_FAILURE() << "no statistic " << name;
  return 0;
}

// Waits for a condition, not for a time: five seconds are for a machine that is starved.
inline bool until(const std::function<bool()>& condition) {
  for (int tries = 0; tries < 5000; tries++) {
    if (condition()) return true;
    poll(nullptr, 0, 1);
  }
  return false;
}

// Sends frames one way, no faster than the XDP program sees them: a veth's own queue holds 256.
inline void send_all(Station& far, const port::Port& port, const std::vector<Frame>& frames) {
  const uint64_t before = extended(port.stats(), "xdp_redirected");
  for (size_t i = 0; i < frames.size(); i++) {
    ASSERT_TRUE(far.send(frames[i]));
    if (i % 32 != 31 && i + 1 != frames.size()) continue;
    ASSERT_TRUE(until([&] { return extended(port.stats(), "xdp_redirected") == before + i + 1; }));
  }
}

inline bool said(const std::vector<port::Event>& events, const std::string& part) {
  for (const auto& e : events)
    if (e.text.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace sluice::test
