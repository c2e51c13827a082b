#include <algorithm>

#include "port_fixture.h"

namespace sluice::port::test {

namespace {

constexpr Mac kOwn{{2, 0, 0, 0, 0, 1}};
constexpr int64_t kSecond = 1'000'000'000;

class PcapPort : public PortTest {
 protected:
  Options options(const std::string& path) {
    Options o;
    o.name = "lan";
    o.index = 3;
    o.driver = Driver::pcap;
    o.device = path;
    o.mac = kOwn;
    return o;
  }
  void replay(const Bytes& capture) { open_port(options(file("in.pcap", capture))); }
  // The Ethernet header put in front of one frame of that link type.
  wire::EthHdr header(uint32_t link, const Bytes& frame, bool swapped = false) {
    replay(Classic(0xa1b2c3d4, link, swapped).frame(1, 0, frame).make.bytes);
    auto got = receive({kSecond});
    EXPECT_EQ(got.size(), 1u);
    if (got.empty()) return {};
    last = got[0];
    return *wire::peek<wire::EthHdr>(got[0]);
  }
  Bytes last;
};

TEST_F(PcapPort, frames_come_at_their_time_and_not_before) {
  replay(Classic(0xa1b2c3d4, 1)
             .frame(5, 0, ethernet(60, 1))
             .frame(6, 0, ethernet(60, 2))
             .frame(6, 1, ethernet(60, 3))
             .make.bytes);
  EXPECT_EQ(port->next_event().ns, 5 * kSecond);
  EXPECT_TRUE(receive({5 * kSecond - 1}).empty());
  EXPECT_EQ(receive({5 * kSecond}).size(), 1u);
  EXPECT_EQ(port->next_event().ns, 6 * kSecond);
  EXPECT_FALSE(port->exhausted());
  auto both = receive({7 * kSecond});
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[1], ethernet(60, 3));
  EXPECT_TRUE(port->exhausted());
  EXPECT_EQ(port->next_event(), Instant::never());
}

TEST_F(PcapPort, bursts_are_bounded_and_mbufs_marked) {
  Classic c(0xa1b2c3d4, 1);
  for (uint8_t i = 0; i < 10; i++) c.frame(1, i, ethernet(60, i));
  replay(c.make.bytes);
  rte_mbuf* pkts[kMaxBurst];
  EXPECT_EQ(port->rx_burst(1, {2 * kSecond}, pkts, 8), 0u) << "all of it comes in on queue 0";
  ASSERT_EQ(port->rx_burst(0, {2 * kSecond}, pkts, 8), 8u);
  EXPECT_EQ(pkts[0]->port, 3);
  EXPECT_EQ(port->tx_burst(0, {2 * kSecond}, pkts, 8), 8u);
  EXPECT_EQ(extended("sent"), 8u);
  EXPECT_EQ(receive({2 * kSecond}).size(), 2u);
}

TEST_F(PcapPort, times_that_go_back_are_read_as_the_latest) {
  replay(Classic(0xa1b2c3d4, 1).frame(5, 0, ethernet(60, 1)).frame(4, 0, ethernet(60, 2)).make.bytes);
  rte_mbuf* m;
  ASSERT_EQ(port->rx_burst(0, {5 * kSecond}, &m, 1), 1u);
  rte_pktmbuf_free(m);
  EXPECT_EQ(port->next_event().ns, 5 * kSecond);
  EXPECT_EQ(receive({5 * kSecond}).size(), 1u);
  EXPECT_EQ(extended("times_backward"), 1u);
}

TEST_F(PcapPort, a_live_box_sees_the_capture_from_now_on) {
  Options o = options(file(
      "in.pcap",
      Classic(0xa1b2c3d4, 1).frame(1000, 0, ethernet(60, 1)).frame(1001, 0, ethernet(60, 2)).make.bytes));
  o.pcap_live = true;
  open_port(o);
  EXPECT_EQ(receive({77}).size(), 1u);
  EXPECT_EQ(port->next_event().ns, 77 + kSecond);
}

TEST_F(PcapPort, what_is_no_packet_of_ours_is_counted_by_reason) {
  replay(Classic(0xa1b2c3d4, 1)
             .frame(1, 0, ethernet(60, 1), 61)
             .frame(1, 0, ethernet(5000, 2))
             .frame(1, 0, {})
             .frame(1, 0, ethernet(60, 4))
             .make.bytes);
  EXPECT_EQ(receive({kSecond}).size(), 1u);
  EXPECT_EQ(rejected(DropReason::frame_snapped), 1u);
  EXPECT_EQ(rejected(DropReason::frame_long), 1u);
  EXPECT_EQ(rejected(DropReason::frame_short), 1u);
  EXPECT_EQ(port->stats().rx_rejected, 3u);
  EXPECT_EQ(extended("snapped"), 1u);
  EXPECT_EQ(extended("frames"), 4u);
}

TEST_F(PcapPort, an_empty_pool_is_a_counted_loss_and_no_loop) {
  replay(Classic(0xa1b2c3d4, 1).frame(1, 0, ethernet(60, 1)).make.bytes);
  std::vector<rte_mbuf*> all;
  while (rte_mbuf* m = rte_pktmbuf_alloc(pool->mempool())) all.push_back(m);
  EXPECT_TRUE(receive({kSecond}).empty());
  EXPECT_EQ(port->stats().no_mbuf, 1u);
  EXPECT_TRUE(port->exhausted());
  for (auto* m : all) rte_pktmbuf_free(m);
}

TEST_F(PcapPort, truncation_is_an_event_and_malformed_is_an_error) {
  Bytes b = Classic(0xa1b2c3d4, 1).frame(1, 0, ethernet(60, 1)).frame(1, 0, ethernet(60, 2)).make.bytes;
  b.pop_back();
  replay(b);
  EXPECT_EQ(receive({kSecond}).size(), 1u);
  EXPECT_TRUE(port->exhausted());
  auto events = port->maintain([] {});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].level, Event::Level::error);
  EXPECT_TRUE(says(events[0].text, "middle of a frame"));
  EXPECT_TRUE(port->maintain([] {}).empty()) << "said once";
  EXPECT_EQ(extended("truncated"), 1u);
  EXPECT_TRUE(says(open_error(options(file("bad.pcap", {1, 2, 3, 4}))), "lan"));
}

TEST_F(PcapPort, raw_ip) {
  for (uint32_t link : {12u, 14u, 101u, 228u}) {
    auto h = header(link, ip("192.0.2.1"));
    EXPECT_EQ(h.type.host(), 0x0800);
    EXPECT_EQ(h.dst, kOwn);
    EXPECT_FALSE(h.src.group());
    EXPECT_EQ(Bytes(last.begin() + 14, last.end()), ip("192.0.2.1"));
  }
  for (uint32_t link : {12u, 14u, 101u, 229u}) EXPECT_EQ(header(link, ip("2001:db8::1")).type.host(), 0x86dd);
}

TEST_F(PcapPort, group_addresses_get_their_macs) {
  EXPECT_EQ(header(101, ip("224.0.0.5")).dst, *parse_mac("01:00:5e:00:00:05"));
  EXPECT_EQ(header(101, ip("255.255.255.255")).dst, *parse_mac("ff:ff:ff:ff:ff:ff"));
  EXPECT_EQ(header(101, ip("ff02::1:ff00:1")).dst, *parse_mac("33:33:ff:00:00:01"));
}

TEST_F(PcapPort, bsd_loopback_in_every_byte_order) {
  auto null_frame = [](uint32_t family, const Bytes& p, bool swap) {
    return Maker(swap).u32(family).add(p).bytes;
  };
  EXPECT_EQ(header(0, null_frame(2, ip("192.0.2.1"), false)).type.host(), 0x0800);
  EXPECT_EQ(header(0, null_frame(30, ip("2001:db8::1"), true), true).type.host(), 0x86dd);
  EXPECT_EQ(header(0, null_frame(2, ip("192.0.2.1"), true)).type.host(), 0x0800)
      << "family in the other order than the file";
  EXPECT_EQ(header(108, null_frame(24, ip("2001:db8::1"), true)).type.host(), 0x86dd) << "LOOP is big-endian";
  replay(Classic(0xa1b2c3d4, 0).frame(1, 0, null_frame(99, {}, false)).frame(1, 0, {1, 2}).make.bytes);
  EXPECT_TRUE(receive({kSecond}).empty());
  EXPECT_EQ(rejected(DropReason::link_type_unsupported), 1u);
  EXPECT_EQ(rejected(DropReason::frame_short), 1u);
}

TEST_F(PcapPort, linux_cooked) {
  const Bytes mac = {2, 1, 1, 1, 1, 1, 0, 0};
  auto sll = [&](uint16_t type, uint16_t protocol, const Bytes& p) {
    return Maker(true).u16(type).u16(1).u16(6).add(mac).u16(protocol).add(p).bytes;
  };
  auto h = header(113, sll(0, 0x0800, ip("192.0.2.1")));
  EXPECT_EQ(h.dst, kOwn);
  EXPECT_EQ(h.src, *parse_mac("02:01:01:01:01:01"));
  EXPECT_EQ(h.type.host(), 0x0800);
  EXPECT_TRUE(header(113, sll(1, 0x0806, Bytes(28, 0))).dst.broadcast());
  EXPECT_EQ(header(113, sll(0, 0x0004, Bytes(30, 0))).type.host(), 30) << "802.2 carries a length";
  auto sll2 = [&](uint8_t type, uint16_t protocol, const Bytes& p) {
    return Maker(true).u16(protocol).u16(0).u32(2).u16(1).u8(type).u8(6).add(mac).add(p).bytes;
  };
  h = header(276, sll2(0, 0x86dd, ip("2001:db8::1")));
  EXPECT_EQ(h.type.host(), 0x86dd);
  EXPECT_EQ(h.src, *parse_mac("02:01:01:01:01:01"));
  EXPECT_EQ(Bytes(last.begin() + 14, last.end()), ip("2001:db8::1"));
  EXPECT_TRUE(header(276, sll2(1, 0x0806, Bytes(28, 0))).dst.broadcast());
  replay(Classic(0xa1b2c3d4, 113).frame(1, 0, Bytes(15, 0)).make.bytes);
  EXPECT_TRUE(receive({kSecond}).empty());
  EXPECT_EQ(rejected(DropReason::frame_short), 1u);
}

TEST_F(PcapPort, foreign_link_types_are_said_and_counted) {
  replay(Classic(0xa1b2c3d4, 127).frame(1, 0, Bytes(80, 0)).make.bytes);
  EXPECT_TRUE(receive({kSecond}).empty());
  EXPECT_EQ(rejected(DropReason::link_type_unsupported), 1u);
  auto events = port->maintain([] {});
  ASSERT_EQ(events.size(), 1u);
  EXPECT_TRUE(says(events[0].text, "radiotap"));
}

TEST_F(PcapPort, what_it_sends_is_the_same_file_every_time) {
  Classic c(0xa1b2c3d4, 1);
  for (uint8_t i = 0; i < 100; i++) c.frame(1, i, ethernet(60 + i, i));
  Options o = options(file("in.pcap", c.make.bytes));
  std::vector<Bytes> outputs;
  for (int run = 0; run < 2; run++) {
    o.pcap_out = folder + "/out.pcapng";
    open_port(o);
    rte_mbuf* pkts[kMaxBurst];
    while (!port->exhausted()) {
      const Instant now = port->next_event();
      unsigned n = port->rx_burst(0, now, pkts, kMaxBurst);
      EXPECT_EQ(port->tx_burst(0, now, pkts, n), n);
    }
    port->stop();
    outputs.push_back(read_file(o.pcap_out));
  }
  EXPECT_EQ(outputs[0], outputs[1]);
  open_port(options(o.pcap_out));
  EXPECT_EQ(port->next_event().ns, kSecond);
  auto again = receive({2 * kSecond});
  ASSERT_EQ(again.size(), 100u);
  EXPECT_EQ(again[7], ethernet(67, 7));
}

TEST_F(PcapPort, a_full_disk_is_an_event_and_loses_no_mbuf) {
  Options o = options("");
  o.pcap_out = "/dev/full";
  EXPECT_TRUE(says(open_error(o), "No space left")) << "seen at once";
  o.pcap_out = "/no/such/folder/x.pcapng";
  EXPECT_TRUE(says(open_error(o), "/no/such/folder"));
}

// Real captures, where they are.
TEST_F(PcapPort, the_zoo_of_captures) {
  const char* given = std::getenv("SLUICE_PCAPS");
  const char* root = std::getenv("SLUICE_SOURCE_ROOT");
  std::filesystem::path zoo = given ? given : std::string(root ? root : ".") + "/../shared/pcaps";
  if (!std::filesystem::is_directory(zoo))
    GTEST_SKIP() << "no captures at " << zoo << "; SLUICE_PCAPS may name a folder";
  unsigned files = 0, refused = 0;
  uint64_t frames = 0, delivered = 0, dropped = 0;
  std::vector<std::filesystem::path> paths;
  for (auto& e : std::filesystem::recursive_directory_iterator(zoo))
    if (e.is_regular_file()) paths.push_back(e.path());
  std::sort(paths.begin(), paths.end());
  for (auto& path : paths) {
    auto p = open(options(path), *pool);
    if (!p.ok()) {
      EXPECT_TRUE(path.extension() != ".pcap" && path.extension() != ".pcapng") << p.error();
      refused++;
      continue;
    }
    port = std::move(*p);
    uint64_t got = 0;
    while (!port->exhausted()) got += receive(port->next_event()).size();
    Stats s = port->stats();
    EXPECT_EQ(extended("frames"), got + s.rx_rejected + s.no_mbuf) << path;
    for (auto& e : port->maintain([] {})) std::printf("  %s\n", e.text.c_str());
    files++, frames += extended("frames"), delivered += got, dropped += s.rx_rejected;
  }
  std::printf("%u captures, %u other files; %lu frames: %lu delivered, %lu rejected\n", files, refused,
              frames, delivered, dropped);
  EXPECT_GT(files, 0u);
}

}  // namespace
}  // namespace sluice::port::test
