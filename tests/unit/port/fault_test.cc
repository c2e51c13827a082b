#include <algorithm>
#include <set>

#include "port/wrapper.h"
#include "port_fixture.h"

namespace sluice::port::test {

namespace {

// Numbered frames in, and what was sent; takes only `room` frames to send at a time.
class Script final : public Port {
 public:
  explicit Script(PacketPool& p) : pool(p) {}
  unsigned rx_burst(unsigned, Instant, rte_mbuf** pkts, unsigned n) override {
    unsigned k = 0;
    for (; k < n && next < frames; k++, next++) {
      pkts[k] = rte_pktmbuf_alloc(pool.mempool());
      std::memcpy(rte_pktmbuf_append(pkts[k], 64), &next, sizeof next);
    }
    return k;
  }
  unsigned tx_burst(unsigned, Instant now, rte_mbuf** pkts, unsigned n) override {
    n = std::min(n, room);
    for (unsigned i = 0; i < n; i++) {
      unsigned number;
      std::memcpy(&number, rte_pktmbuf_mtod(pkts[i], void*), sizeof number);
      sent.push_back(number);
      times.push_back(now.ns);
      rte_pktmbuf_free(pkts[i]);
    }
    return n;
  }
  bool exhausted() const override { return next == frames; }
  const Info& info() const override { return info_; }
  Stats stats() const override { return {}; }
  Status start() override { return {}; }
  void stop() override {}
  bool link_up() const override { return true; }

  PacketPool& pool;
  unsigned frames = 0, next = 0, room = kMaxBurst;
  std::vector<unsigned> sent;
  std::vector<int64_t> times;
  Info info_;
};

class Fault : public PortTest {
 protected:
  void wrap(const FaultOptions& f, unsigned frames) {
    auto s = std::make_unique<Script>(*pool);
    script = s.get();
    script->frames = frames;
    Options o;
    o.fault = f;
    port = wrap_fault(std::move(s), o, *pool);
  }
  std::vector<unsigned> numbers(const std::vector<Bytes>& got) {
    std::vector<unsigned> n;
    for (auto& b : got) {
      n.emplace_back();
      std::memcpy(&n.back(), b.data(), sizeof(unsigned));
    }
    return n;
  }
  // Everything that comes in, in virtual time.
  std::vector<unsigned> all_in() {
    std::vector<unsigned> got;
    for (Instant now{}; now != Instant::never(); now = port->next_event())
      for (unsigned n : numbers(receive(now))) got.push_back(n);
    EXPECT_TRUE(port->exhausted());
    return got;
  }
  rte_mbuf* numbered(unsigned n) {
    Bytes b(64, 0);
    std::memcpy(b.data(), &n, sizeof n);
    return mbuf(b);
  }
  Script* script = nullptr;
};

TEST_F(Fault, loss_is_a_share_of_the_frames_and_repeats) {
  wrap({.loss = 0.1, .seed = 7}, 5000);
  auto a = all_in();
  EXPECT_NEAR(static_cast<double>(a.size()), 4500, 150);
  EXPECT_TRUE(std::is_sorted(a.begin(), a.end()));
  EXPECT_EQ(rejected(DropReason::fault_loss), 5000 - a.size());
  wrap({.loss = 0.1, .seed = 7}, 5000);
  EXPECT_EQ(all_in(), a);
  wrap({.loss = 0.1, .seed = 8}, 5000);
  EXPECT_NE(all_in(), a);
}

TEST_F(Fault, duplicates_come_twice) {
  wrap({.duplicate = 0.25}, 1000);
  auto a = all_in();
  EXPECT_NEAR(static_cast<double>(a.size()), 1250, 60);
  EXPECT_EQ(std::set<unsigned>(a.begin(), a.end()).size(), 1000u);
  EXPECT_EQ(extended("fault_duplicated"), a.size() - 1000);
}

TEST_F(Fault, reordering_displaces_and_loses_none) {
  wrap({.reorder = 0.1}, 2000);
  auto a = all_in();
  ASSERT_EQ(a.size(), 2000u);
  EXPECT_FALSE(std::is_sorted(a.begin(), a.end()));
  unsigned late = 0, farthest = 0;
  for (unsigned i = 0; i < a.size(); i++) {
    if (i > a[i]) late++, farthest = std::max(farthest, i - a[i]);
  }
  EXPECT_NEAR(late, 200, 60);
  EXPECT_LE(farthest, 8u);
  std::sort(a.begin(), a.end());
  for (unsigned i = 0; i < a.size(); i++) ASSERT_EQ(a[i], i);
}

TEST_F(Fault, the_last_frame_does_not_wait_for_ever) {
  wrap({.reorder = 1}, 1);
  EXPECT_TRUE(receive({0}).empty());
  EXPECT_FALSE(port->exhausted());
  EXPECT_GT(port->next_event(), Instant{0});
  EXPECT_EQ(receive(port->next_event()).size(), 1u);
}

TEST_F(Fault, corruption_flips_one_bit) {
  wrap({.corrupt = 1}, 50);
  unsigned i = 0;
  for (auto& b : receive({0})) {
    Bytes good(64, 0);
    std::memcpy(good.data(), &i, sizeof i);
    // what append left in the mbuf is not zeroed: count differences in the number alone, and elsewhere at
    // most
    unsigned bits = 0;
    for (size_t k = 0; k < sizeof i; k++) bits += static_cast<unsigned>(__builtin_popcount(b[k] ^ good[k]));
    EXPECT_LE(bits, 1u);
    i++;
  }
  EXPECT_EQ(i, 50u);
  EXPECT_EQ(extended("fault_corrupted"), 50u);
}

TEST_F(Fault, a_shared_frame_is_copied_before_it_is_corrupted) {
  wrap({.corrupt = 1}, 0);
  rte_mbuf* m = mbuf(Bytes(64, 0xaa));
  rte_mbuf* clone = rte_pktmbuf_clone(m, pool->mempool());
  EXPECT_EQ(port->tx_burst(0, {0}, &clone, 1), 1u);
  auto b = bytes_of(m);
  EXPECT_EQ(Bytes(b.begin(), b.end()), Bytes(64, 0xaa));
  rte_pktmbuf_free(m);
}

TEST_F(Fault, delay_holds_frames_until_their_time) {
  wrap({.delay = Duration::millis(5)}, 3);
  EXPECT_TRUE(receive({1000}).empty());
  EXPECT_EQ(port->stats().held, 3u);
  EXPECT_EQ(port->next_event().ns, 5'001'000);
  EXPECT_TRUE(receive({5'000'999}).empty());
  EXPECT_EQ(numbers(receive({5'001'000})), (std::vector<unsigned>{0, 1, 2}));
  EXPECT_EQ(port->next_event(), Instant::never());
}

TEST_F(Fault, jitter_stays_in_its_range) {
  wrap({.delay = Duration::millis(5), .jitter = Duration::millis(2)}, 200);
  while (!script->exhausted()) receive({0});
  std::vector<int64_t> at;
  for (Instant now = port->next_event(); now != Instant::never(); now = port->next_event())
    for (size_t n = receive(now).size(); n > 0; n--) at.push_back(now.ns);
  ASSERT_EQ(at.size(), 200u);
  EXPECT_GE(at.front(), 3'000'000);
  EXPECT_LE(at.back(), 7'000'000);
  EXPECT_LT(at.front(), 3'300'000);
  EXPECT_GT(at.back(), 6'700'000);
}

TEST_F(Fault, sending_is_delayed_by_turns_and_keeps_its_order_under_push_back) {
  wrap({.delay = Duration::millis(1)}, 0);
  script->room = 3;
  rte_mbuf* pkts[10];
  for (unsigned i = 0; i < 10; i++) pkts[i] = numbered(i);
  EXPECT_EQ(port->tx_burst(0, {0}, pkts, 10), 10u);
  EXPECT_TRUE(script->sent.empty());
  EXPECT_EQ(port->next_event().ns, 1'000'000);
  for (int i = 0; i < 4; i++) port->turn(0, {1'000'000 + i});
  std::vector<unsigned> in_order(10);
  for (unsigned i = 0; i < 10; i++) in_order[i] = i;
  EXPECT_EQ(script->sent, in_order);
  EXPECT_EQ(script->times.front(), 1'000'000);
}

TEST_F(Fault, a_full_lane_pushes_back) {
  wrap({.delay = Duration::seconds(1)}, 0);
  unsigned taken = 0;
  for (;;) {
    rte_mbuf* m = numbered(taken);
    if (port->tx_burst(0, {0}, &m, 1) == 1) {
      taken++;
      continue;
    }
    rte_pktmbuf_free(m);
    break;
  }
  EXPECT_GT(taken, 2000u);
  EXPECT_LT(taken, 4096u);
  EXPECT_EQ(port->stats().held, taken);
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(port->stats().tx_errors, taken) << "accepted, never sent";
}

TEST_F(Fault, everything_at_once_conserves_mbufs) {
  wrap({.loss = 0.1,
        .duplicate = 0.1,
        .reorder = 0.1,
        .corrupt = 0.1,
        .delay = Duration::micros(100),
        .jitter = Duration::micros(90)},
       3000);
  uint64_t in = 0;
  for (Instant now{}; in < 1000; now = now + Duration::micros(10)) in += receive(now).size();
  port->stop();
  EXPECT_EQ(pool->in_use(), 0u);
  EXPECT_EQ(script->next + extended("fault_duplicated"), in + port->stats().rx_rejected);
}

}  // namespace
}  // namespace sluice::port::test
