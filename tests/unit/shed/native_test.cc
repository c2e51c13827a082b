// The verdict behind rx_burst: what is dropped is booked and freed, what passes keeps its order, what is answered is
// handed out as a frame to send; and no mbuf is lost.
#include "shed/native.h"

#include <gtest/gtest.h>

#include "packet/pool.h"
#include "unit/eal_env.h"
#include "unit/frames.h"

namespace sluice::test {
namespace {

constexpr uint8_t kSyn = 2, kAck = 16;

class Native : public ::testing::Test {
 protected:
  Native() {
    auto p = PacketPool::create("native", {.packets = 256, .cache = 0, .huge_pages = false});
    EXPECT_TRUE(p.ok());
    pool_ = std::move(*p);
    auto s = shed::Shed::create({.hint = {1, 2}, .table = {3, 4}, .list = {5, 6}, .cookie = {7, 8}}, false);
    EXPECT_TRUE(s.ok());
    shed_ = std::move(*s);
    native_ = std::make_unique<shed::NativeVerdict>(*shed_);
  }
  ~Native() override { EXPECT_EQ(pool_->in_use(), 0u); }

  rte_mbuf* mbuf(const Octets& f) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool_->mempool());
    std::memcpy(rte_pktmbuf_append(m, static_cast<uint16_t>(f.size())), f.data(), f.size());
    return m;
  }
  // Octets of what passes; answers are left in answers_.
  std::vector<Octets> run(const std::vector<Octets>& burst) {
    rte_mbuf *pkts[64], *answer[64];
    unsigned n = 0, answers = 99;
    for (const Octets& f : burst) pkts[n++] = mbuf(f);
    n = native_->run(now_, pkts, n, row_, answer, answers);
    std::vector<Octets> out;
    const auto take = [](std::vector<Octets>& to, rte_mbuf* m) {
      to.push_back(octets_of(m));
      EXPECT_EQ(m->pkt_len, m->data_len);
      rte_pktmbuf_free(m);
    };
    for (unsigned i = 0; i < n; i++) take(out, pkts[i]);
    for (unsigned i = 0; i < answers; i++) take(answers_, answer[i]);
    return out;
  }
  static Octets udp4(const char* src, unsigned dport) { return eth(ip4({.src = src}, udp(4000, dport)), 0x0800); }
  static Octets syn4() {
    Octets p = ip4({.proto = 6}, tcp(40000, 80, kSyn, 77, 0, Octets{2, 4, 5, 180}, 6));
    seal_tcp(p, 20);
    return eth(p, 0x0800) + zeros(12);
  }
  uint64_t drops(DropReason r) { return row_.drops[static_cast<unsigned>(r)].get(); }

  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<shed::Shed> shed_;
  std::unique_ptr<shed::NativeVerdict> native_;
  PortAccount row_;
  Instant now_ = Instant{} + Duration::seconds(1000);
  std::vector<Octets> answers_;
};

TEST_F(Native, NothingToCheckNothingIsTouched) {
  EXPECT_EQ(run({Octets(14, 1), Octets(3, 1)}).size(), 2u);
  EXPECT_EQ(row_.rx_packets.get(), 0u);
}

TEST_F(Native, DropsAreBookedAndTheRestKeepsItsOrder) {
  ASSERT_TRUE(shed_->set_policy({.check_frames = true, .block_ports = {{17, 19, 19}}}).ok());
  ASSERT_TRUE(shed_->lists().add({*parse_prefix("198.18.9.0/24")}, shed::Origin::command).ok());
  const Octets good = udp4("198.18.1.1", 1), better = udp4("198.18.1.1", 2);
  const auto out = run(
      {udp4("198.18.9.9", 1), good, udp4("198.18.1.1", 19), Octets(5, 0), better, udp4("198.18.9.1", 3)});
  EXPECT_EQ(out, (std::vector<Octets>{good, better}));
  EXPECT_EQ(row_.rx_packets.get(), 4u);
  EXPECT_EQ(row_.rx_bytes.get(), 3 * good.size() + 5);
  EXPECT_EQ(drops(DropReason::shed_block), 2u);
  EXPECT_EQ(drops(DropReason::shed_port), 1u);
  EXPECT_EQ(drops(DropReason::shed_malformed), 1u);
  EXPECT_EQ(native_->count(SLUICE_DROP_block, SLUICE_CLASS_REST), 2u);
  EXPECT_EQ(native_->count(SLUICE_OUT_REDIRECTED, SLUICE_CLASS_REST), 2u);
}

TEST_F(Native, SynsAboveTheRateAreAnswered) {
  ASSERT_TRUE(shed_->set_policy({.syn = {.per_second = 1, .burst = 1}}).ok());
  shed_->set_services({{.addr = *parse_ip("198.18.2.10"), .port = 80}});
  native_->queue().level = 1;
  const auto out = run({syn4(), syn4(), udp4("198.18.1.1", 1), syn4()});
  EXPECT_GE(out.size(), 1u);
  EXPECT_EQ(out[0], syn4());
  ASSERT_EQ(answers_.size(), 2u);
  EXPECT_EQ(answers_[0].size(), 14u + 20 + 24);  // the padding is gone
  EXPECT_EQ(answers_[0][14 + 20 + 13], kSyn | kAck);
  EXPECT_EQ(native_->count(SLUICE_OUT_ANSWERED, SLUICE_CLASS_NEW), 2u);
}

TEST_F(Native, ALevelShedsTheRestAndNothingElse) {
  ASSERT_TRUE(shed_->set_policy({}).ok());
  shed_->hints().mark(*parse_ip("198.18.1.1"), *parse_ip("198.18.2.10"), be16::from(4000).raw(),
                      be16::from(7).raw(), 17);
  native_->queue().level = SLUICE_LEVEL_REST;
  EXPECT_EQ(run({udp4("198.18.1.1", 1), udp4("198.18.1.1", 7), syn4()}).size(), 2u);
  EXPECT_EQ(drops(DropReason::shed_overload), 1u);
}

}  // namespace
}  // namespace sluice::test
