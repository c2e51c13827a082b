#include "port/capture_ring.h"
#include "port/pcap_reader.h"
#include "port_fixture.h"

namespace sluice::port::test {

namespace {

class Capture : public PortTest {
 protected:
  std::vector<Bytes> frames_of(const std::string& path) {
    auto r = PcapReader::open(path);
    EXPECT_TRUE(r.ok()) << r.error();
    std::vector<Bytes> all;
    PcapReader::Frame f;
    PcapReader::Next n;
    while ((n = (*r)->next(f)) == PcapReader::Next::frame) all.emplace_back(f.bytes.begin(), f.bytes.end());
    EXPECT_EQ(n, PcapReader::Next::end) << (*r)->complaint();
    return all;
  }
};

TEST_F(Capture, both_directions_of_a_replay_the_same_every_time) {
  Classic c(0xa1b2c3d4, 1);
  for (uint8_t i = 0; i < 50; i++) c.frame(1, i, ethernet(60 + i, i));
  Options o;
  o.name = "lan";
  o.device = file("in.pcap", c.make.bytes);
  std::vector<Bytes> runs;
  for (int run = 0; run < 2; run++) {
    o.capture = folder + "/cap.pcapng";
    open_port(o);
    while (!port->exhausted()) {
      rte_mbuf* pkts[kMaxBurst];
      const Instant now = port->next_event();
      unsigned n = port->rx_burst(0, now, pkts, 8);
      EXPECT_EQ(port->tx_burst(0, now, pkts, n), n);
    }
    port->stop();
    EXPECT_EQ(extended("captured"), 100u);
    runs.push_back(read_file(o.capture));
  }
  EXPECT_EQ(runs[0], runs[1]);
  auto frames = frames_of(o.capture);
  ASSERT_EQ(frames.size(), 100u);
  EXPECT_EQ(frames[0], ethernet(60, 0));
  EXPECT_EQ(frames[1], ethernet(60, 0)) << "sent in the same turn";
}

TEST_F(Capture, a_live_port_is_written_by_a_thread_and_whole_at_the_end) {
  Options o;
  o.name = "gen";
  o.driver = Driver::generator;
  o.generator.packets = 10000;
  o.capture = folder + "/cap.pcapng";
  open_port(o);
  rte_mbuf* pkts[kMaxBurst];
  while (unsigned n = port->rx_burst(0, {1}, pkts, 32)) EXPECT_EQ(port->tx_burst(0, {1}, pkts, n), n);
  port->stop();
  EXPECT_EQ(extended("captured") + extended("capture_lost"), 20000u);
  EXPECT_EQ(frames_of(o.capture).size(), extended("captured"));
}

TEST_F(Capture, a_file_that_cannot_be_made_is_an_error) {
  Options o;
  o.name = "x";
  o.driver = Driver::null;
  o.capture = "/no/such/folder/c.pcapng";
  EXPECT_TRUE(says(open_error(o), "/no/such/folder"));
}

TEST_F(Capture, ring_wraps_keeps_order_and_counts_what_does_not_fit) {
  CaptureRing ring;
  rte_mbuf* m = mbuf(Bytes(1500, 7));
  uint64_t put = 0, got = 0;
  for (int round = 0; round < 20; round++) {
    for (int i = 0; i < 500; i++) {
      std::memcpy(rte_pktmbuf_mtod(m, void*), &put, sizeof put);
      ring.publish(ring.put(ring.begin(), m, {static_cast<int64_t>(put)}, false));
      put++;
    }
    ring.drain([&](const CaptureRing::Record& r, wire::ConstBytes b) {
      uint64_t n;
      std::memcpy(&n, b.data(), sizeof n);
      ASSERT_EQ(n, got);
      ASSERT_EQ(r.time, static_cast<int64_t>(got));
      ASSERT_EQ(b.size(), 1500u);
      ASSERT_EQ(b[1499], 7);
      got++;
    });
  }
  EXPECT_EQ(got, put);
  EXPECT_EQ(ring.lost(), 0u);
  for (int i = 0; i < 4000; i++) ring.publish(ring.put(ring.begin(), m, {}, false));
  EXPECT_GT(ring.lost(), 0u);
  uint64_t kept = 0;
  ring.drain([&](const CaptureRing::Record&, wire::ConstBytes) { kept++; });
  EXPECT_EQ(kept + ring.lost(), 4000u);
  rte_pktmbuf_free(m);
}

TEST_F(Capture, frames_that_were_not_taken_are_not_in_it) {
  CaptureRing ring;
  rte_mbuf* m = mbuf(ethernet(60, 1));
  uint64_t first = ring.put(ring.begin(), m, {}, true);
  ring.put(first, m, {}, true);
  ring.publish(first);
  uint64_t n = 0;
  ring.drain([&](const CaptureRing::Record&, wire::ConstBytes) { n++; });
  EXPECT_EQ(n, 1u);
  rte_pktmbuf_free(m);
}

}  // namespace
}  // namespace sluice::port::test
