#include "port/pcapng_writer.h"

#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <sys/resource.h>

#include "port/pcap_reader.h"
#include "port_fixture.h"

namespace sluice::port::test {

namespace {

using Direction = PcapngWriter::Direction;

class Writer : public PortTest {};

TEST_F(Writer, others_read_it) {
  const std::string path = folder + "/o.pcapng";
  auto w = PcapngWriter::create(path);
  ASSERT_TRUE(w.ok()) << w.error();
  EXPECT_EQ((*w)->add_interface("lan"), 0u);
  EXPECT_EQ((*w)->add_interface("wan-port"), 1u);
  EXPECT_TRUE((*w)->frame(0, {1'500'000'000'123'456'789}, Direction::inbound, ethernet(61, 1), "no_route"));
  EXPECT_TRUE((*w)->frame(1, {1'500'000'001'000'000'000}, Direction::outbound, ethernet(60, 2)));
  ASSERT_TRUE((*w)->close().ok());

  char error[PCAP_ERRBUF_SIZE];
  pcap_t* p = pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error);
  ASSERT_NE(p, nullptr) << error;
  pcap_pkthdr* h;
  const u_char* data;
  ASSERT_EQ(pcap_next_ex(p, &h, &data), 1) << pcap_geterr(p);
  EXPECT_EQ(Bytes(data, data + h->caplen), ethernet(61, 1));
  EXPECT_EQ(h->ts.tv_sec, 1'500'000'000);
  EXPECT_EQ(h->ts.tv_usec, 123'456'789);
  ASSERT_EQ(pcap_next_ex(p, &h, &data), 1) << pcap_geterr(p);
  EXPECT_EQ(pcap_next_ex(p, &h, &data), PCAP_ERROR_BREAK);
  pcap_close(p);
}

TEST_F(Writer, flags_and_comment_stand_behind_the_padded_frame) {
  const std::string path = folder + "/o.pcapng";
  auto w = PcapngWriter::create(path);
  (*w)->add_interface("x");
  (*w)->frame(0, {5}, Direction::outbound, ethernet(61, 1), "why");
  ASSERT_TRUE((*w)->close().ok());
  Bytes b = read_file(path);
  Bytes tail = Maker().u16(1).u16(3).u8('w').u8('h').u8('y').u8(0).u16(2).u16(4).u32(2).u16(0).u16(0).bytes;
  ASSERT_GT(b.size(), tail.size() + 4);
  EXPECT_EQ(Bytes(b.end() - 4 - static_cast<long>(tail.size()), b.end() - 4), tail);
}

TEST_F(Writer, chains_are_one_frame) {
  const std::string path = folder + "/o.pcapng";
  auto w = PcapngWriter::create(path);
  (*w)->add_interface("x");
  rte_mbuf *a = mbuf(Bytes(40, 1)), *b = mbuf(Bytes(30, 2));
  ASSERT_EQ(rte_pktmbuf_chain(a, b), 0);
  EXPECT_TRUE((*w)->frame(0, {5}, Direction::unknown, a));
  rte_pktmbuf_free(a);
  (void)(*w)->close();
  auto r = PcapReader::open(path);
  PcapReader::Frame f;
  ASSERT_EQ((*r)->next(f), PcapReader::Next::frame);
  EXPECT_EQ(f.bytes.size(), 70u);
  EXPECT_EQ(f.bytes[39], 1);
  EXPECT_EQ(f.bytes[40], 2);
}

TEST_F(Writer, a_full_disk_leaves_whole_blocks) {
  const std::string path = folder + "/o.pcapng";
  rlimit old{}, small{};
  getrlimit(RLIMIT_FSIZE, &old);
  small = old;
  small.rlim_cur = 300'000;
  auto before = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  auto w = PcapngWriter::create(path);
  (*w)->add_interface("x");
  uint64_t refused = 0;
  for (int i = 0; i < 1000; i++) refused += !(*w)->frame(0, {i}, Direction::inbound, ethernet(1500, 7));
  Status s = (*w)->close();
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, before);
  EXPECT_FALSE(s.ok());
  EXPECT_TRUE(says(s.error(), path));
  EXPECT_GT(refused, 0u);
  EXPECT_EQ((*w)->lost(), refused);
  auto r = PcapReader::open(path);
  ASSERT_TRUE(r.ok());
  PcapReader::Frame f;
  PcapReader::Next n;
  unsigned whole = 0;
  while ((n = (*r)->next(f)) == PcapReader::Next::frame) whole++;
  EXPECT_EQ(n, PcapReader::Next::end) << (*r)->complaint();
  EXPECT_GT(whole, 100u);
}

}  // namespace
}  // namespace sluice::port::test
