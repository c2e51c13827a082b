#include "tests/sim/host.h"

#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/eal_env.h"

namespace sluice::sim {

namespace {

uint64_t mix(uint64_t z) {  // SplitMix64
  z += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

const std::vector<uint8_t>& pattern_bytes() {
  static const std::vector<uint8_t> bytes = [] {
    std::vector<uint8_t> b(3 * Pattern::kPeriod);
    for (size_t i = 0; i < b.size(); i++) b[i] = static_cast<uint8_t>(mix(i % Pattern::kPeriod) >> 13);
    return b;
  }();
  return bytes;
}

std::unique_ptr<PacketPool> the_pool;

// The pool goes before EAL does: environments are torn down in reverse order.
class PoolEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    auto p = PacketPool::create("sim", {.packets = 16384, .cache = 0, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    the_pool = std::move(*p);
  }
  void TearDown() override { the_pool.reset(); }
};
::testing::Environment* const pool_environment = ::testing::AddGlobalTestEnvironment(new PoolEnvironment);

}  // namespace

PacketPool& pool() {
  return *the_pool;
}

const uint8_t* Pattern::at(uint64_t position) const {
  return pattern_bytes().data() + (position + shift_) % kPeriod;
}

uint32_t Pattern::matches(uint64_t position, const uint8_t* bytes, uint32_t n) const {
  for (uint32_t done = 0; done < n;) {
    uint32_t step = std::min(n - done, kPeriod);
    const uint8_t* want = at(position + done);
    if (std::memcmp(want, bytes + done, step) != 0) {
      while (want[0] == bytes[done]) want++, done++;
      return done;
    }
    done += step;
  }
  return n;
}

tcp::Secrets secrets_of(uint64_t seed) {
  tcp::Secrets s;
  uint64_t x = mix(seed);
  for (uint64_t& k : s.table.k) k = x = mix(x);
  for (uint64_t& k : s.isn) k = x = mix(x);
  for (uint64_t& k : s.timestamp) k = x = mix(x);
  for (uint64_t& k : s.cookie) k = x = mix(x);
  s.seed = mix(x);
  return s;
}

Host::Host(rte_mempool* p, const tcp::Config& c, uint64_t seed, uint32_t most,
           std::function<void(Packet&&)> out)
    : out_(std::move(out)), buffers_(p, most), stack_(c, secrets_of(seed), buffers_, *this) {}

tcp::Taken Host::deliver(Instant now, const Packet& p, uint16_t mtu) {
  tcp::InSegment s;
  s.tuple = reversed(p.tuple);
  s.seq = p.seq;
  s.ack = p.ack;
  s.flags = p.flags;
  s.window = p.window;
  s.urgent = p.urgent;
  s.options = p.options;
  s.length = static_cast<uint16_t>(p.length());
  s.ecn = p.ecn;
  s.mtu = mtu;
  s.path = {3, 1};
  rte_mbuf* m = rte_pktmbuf_alloc(buffers_.pool());
  if (!m) {
    ADD_FAILURE() << "the test's pool is empty";
    return {};
  }
  constexpr uint16_t kHeaders = 54;  // something in front of the payload, as on a real wire
  std::memset(rte_pktmbuf_append(m, kHeaders), 0xee, kHeaders);
  if (s.length) std::memcpy(rte_pktmbuf_append(m, s.length), p.payload.data(), s.length);
  s.m = m;
  s.offset = kHeaders;
  tcp::Taken t = stack_.receive(now, s);
  if (t.by != tcp::Taken::By::library) rte_pktmbuf_free(m);
  return t;
}

bool Host::send(const tcp::OutSegment& s) {
  if (refused_ && refused_--) return false;
  if (refuses_ && refuses_()) return false;
  EXPECT_EQ(s.options.size() % 4, 0u);
  EXPECT_LE(s.options.size(), wire::kMaxTcpOptions);
  EXPECT_TRUE(s.length == 0 || s.mss > 0);
  uint32_t total = 0;
  for (const tcp::Slice& p : s.payload) total += p.length;
  EXPECT_EQ(total, s.length) << "an OutSegment's pieces and its length disagree";
  EXPECT_EQ(s.path.port, 3);
  EXPECT_EQ(s.path.worker, 1);
  for (Packet& p : cut(s)) out_(std::move(p));
  return true;
}

}  // namespace sluice::sim
