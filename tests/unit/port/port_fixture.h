// What the port tests share: a pool that must be full again at the end, captures built in memory, files in a
// folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <rte_mbuf.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "packet/buf.h"
#include "packet/pool.h"
#include "port/open.h"

namespace sluice::port::test {

using Bytes = std::vector<uint8_t>;

// For errors: EXPECT_TRUE(says(text, "the part that matters")).
inline ::testing::AssertionResult says(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << '"' << text << "\" does not say \"" << part << '"';
}

// Writes integers in either byte order.
class Maker {
 public:
  explicit Maker(bool swapped = false) : swapped_(swapped) {}
  Maker& u8(uint8_t v) { return bytes.push_back(v), *this; }
  Maker& u16(uint16_t v) { return put(swapped_ ? byte_swapped(v) : v); }
  Maker& u32(uint32_t v) { return put(swapped_ ? byte_swapped(v) : v); }
  Maker& u64(uint64_t v) { return put(swapped_ ? byte_swapped(v) : v); }
  Maker& add(const Bytes& b) { return bytes.insert(bytes.end(), b.begin(), b.end()), *this; }
  Maker& pad() {
    while (bytes.size() % 4) bytes.push_back(0);
    return *this;
  }
  Bytes bytes;

 private:
  template <class T>
  Maker& put(T v) {
    auto* p = reinterpret_cast<const uint8_t*>(&v);
    bytes.insert(bytes.end(), p, p + sizeof v);
    return *this;
  }
  bool swapped_;
};

struct Classic {
  bool swapped = false;
  uint32_t magic = 0xa1b2c3d4, link = 1, snap = 65535;
  Maker make{false};
  Classic(uint32_t m, uint32_t l, bool s = false) : swapped(s), magic(m), link(l), make(s) {
    make.u32(magic).u16(2).u16(4).u32(0).u32(0).u32(snap).u32(link);
  }
  Classic& frame(uint32_t seconds, uint32_t fraction, const Bytes& b, uint32_t original = 0) {
    make.u32(seconds).u32(fraction).u32(static_cast<uint32_t>(b.size()));
    make.u32(original ? original : static_cast<uint32_t>(b.size())).add(b);
    return *this;
  }
};

inline Bytes block(bool swapped, uint32_t type, const Bytes& body) {
  Maker padded(swapped), m(swapped);
  padded.add(body).pad();
  const auto length = static_cast<uint32_t>(padded.bytes.size() + 12);
  m.u32(type).u32(length).add(padded.bytes).u32(length);
  return m.bytes;
}
inline Bytes section(bool swapped) {
  return block(swapped, 0x0a0d0d0a, Maker(swapped).u32(0x1a2b3c4d).u16(1).u16(0).u64(UINT64_MAX).bytes);
}
inline Bytes interface_block(bool swapped, uint16_t link, const Bytes& options = {}) {
  return block(swapped, 1, Maker(swapped).u16(link).u16(0).u32(0).add(options).bytes);
}
inline Bytes enhanced(bool swapped, uint32_t interface, uint64_t ticks, const Bytes& b,
                      uint32_t original = 0) {
  const auto n = static_cast<uint32_t>(b.size());
  return block(swapped, 6,
               Maker(swapped)
                   .u32(interface)
                   .u32(static_cast<uint32_t>(ticks >> 32))
                   .u32(static_cast<uint32_t>(ticks))
                   .u32(n)
                   .u32(original ? original : n)
                   .add(b)
                   .bytes);
}
inline Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (auto& p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

// An Ethernet frame of n bytes that says which one it is in its last byte.
inline Bytes ethernet(size_t n, uint8_t mark) {
  Bytes b(n, 0x11);
  b[12] = 0x08;
  b[13] = 0x00;
  b[n - 1] = mark;
  return b;
}
// The start of an IPv4 or IPv6 packet to `to`.
inline Bytes ip(const std::string& to) {
  IpAddr a = *parse_ip(to);
  Bytes b(a.family == 4 ? 20 : 40, 0);
  b[0] = a.family == 4 ? 0x45 : 0x60;
  std::copy_n(a.b.begin(), a.bits() / 8, b.begin() + (a.family == 4 ? 16 : 24));
  return b;
}

class PortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto p = PacketPool::create("t" + std::to_string(++made_),
                                {.packets = 4096, .cache = 32, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    pool = std::move(*p);
    char name[] = "/tmp/sluice-port-test-XXXXXX";
    folder = mkdtemp(name);
  }
  void TearDown() override {
    port.reset();
    EXPECT_EQ(pool->in_use(), 0u) << "mbufs leaked";
    std::filesystem::remove_all(folder);
  }
  std::string file(const std::string& name, const Bytes& bytes) {
    std::ofstream f(folder + "/" + name, std::ios::binary);
    f.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return folder + "/" + name;
  }
  static Bytes read_file(const std::string& path) {
    std::ifstream f(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(f), {}};
  }
  void open_port(const Options& o) {
    auto p = open(o, *pool);
    ASSERT_TRUE(p.ok()) << p.error();
    port = std::move(*p);
    ASSERT_TRUE(port->start().ok());
  }
  std::string open_error(const Options& o) {
    auto p = open(o, *pool);
    return p.ok() ? "" : p.error();
  }
  // All frames that are there at `now`.
  std::vector<Bytes> receive(Instant now, unsigned queue = 0) {
    std::vector<Bytes> all;
    rte_mbuf* pkts[kMaxBurst];
    while (unsigned n = port->rx_burst(queue, now, pkts, kMaxBurst))
      for (unsigned i = 0; i < n; i++) {
        EXPECT_EQ(pkts[i]->nb_segs, 1);
        auto b = bytes_of(pkts[i]);
        all.emplace_back(b.begin(), b.end());
        rte_pktmbuf_free(pkts[i]);
      }
    return all;
  }
  rte_mbuf* mbuf(const Bytes& b) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool->mempool());
    std::copy(b.begin(), b.end(),
              reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(b.size()))));
    return m;
  }
  uint64_t extended(const std::string& name) {
    for (auto& [n, v] : port->stats().extended)
      if (n == name) return v;
    ADD_FAILURE() << "no statistic " << name;
    return 0;
  }
  uint64_t rejected(DropReason r) {
    for (auto& [reason, n] : port->stats().rejected)
      if (reason == r) return n;
    return 0;
  }

  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<Port> port;
  std::string folder;

 private:
  static inline int made_ = 0;
};

}  // namespace sluice::port::test
