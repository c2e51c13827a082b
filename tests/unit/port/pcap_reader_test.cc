#include "port/pcap_reader.h"

#include "port_fixture.h"

namespace sluice::port::test {

namespace {

struct Read {
  std::vector<PcapReader::Frame> frames;
  std::vector<Bytes> bytes;
  PcapReader::Next last;
  std::string complaint;
};

Read read_all(const Bytes& capture) {
  Read r;
  auto reader = PcapReader::from_bytes(capture, "capture");
  EXPECT_TRUE(reader.ok()) << reader.error();
  if (!reader.ok()) return r;
  PcapReader::Frame f;
  while ((r.last = (*reader)->next(f)) == PcapReader::Next::frame) {
    r.frames.push_back(f);
    r.bytes.emplace_back(f.bytes.begin(), f.bytes.end());
  }
  EXPECT_EQ((*reader)->next(f), r.last) << "the end is the end";
  r.complaint = (*reader)->complaint();
  return r;
}

std::string refusal(const Bytes& capture) {
  auto r = PcapReader::from_bytes(capture, "capture");
  return r.ok() ? "" : r.error();
}

class ByteOrder : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Both, ByteOrder, ::testing::Bool());

TEST_P(ByteOrder, classic_micros_and_nanos) {
  auto micros = read_all(Classic(0xa1b2c3d4, 1, GetParam())
                             .frame(7, 5, ethernet(60, 1))
                             .frame(8, 0, ethernet(61, 2))
                             .make.bytes);
  ASSERT_EQ(micros.frames.size(), 2u);
  EXPECT_EQ(micros.frames[0].time.ns, 7'000'005'000);
  EXPECT_EQ(micros.bytes[1], ethernet(61, 2));
  EXPECT_EQ(micros.last, PcapReader::Next::end);
  auto nanos = read_all(Classic(0xa1b23c4d, 101, GetParam()).frame(7, 5, ethernet(60, 1), 1500).make.bytes);
  ASSERT_EQ(nanos.frames.size(), 1u);
  EXPECT_EQ(nanos.frames[0].time.ns, 7'000'000'005);
  EXPECT_EQ(nanos.frames[0].link_type, 101u);
  EXPECT_EQ(nanos.frames[0].original, 1500u);
}

TEST_P(ByteOrder, pcapng_interfaces_keep_their_own_link_types_and_clocks) {
  const bool s = GetParam();
  // nanoseconds; 2^-10 seconds with an offset of 100 s; no option: microseconds
  Bytes nanos = Maker(s).u16(9).u16(1).u8(9).pad().u16(0).u16(0).bytes;
  Bytes binary = Maker(s).u16(9).u16(1).u8(0x8a).pad().u16(14).u16(8).u64(100).u16(0).u16(0).bytes;
  auto r = read_all(join({section(s), interface_block(s, 1, nanos), interface_block(s, 101, binary),
                          interface_block(s, 113), block(s, 5, Bytes(12, 0)),
                          enhanced(s, 0, 1'000'000'007, ethernet(60, 1)),
                          enhanced(s, 1, 512, ethernet(60, 2)), enhanced(s, 2, 3, ethernet(60, 3), 99)}));
  ASSERT_EQ(r.frames.size(), 3u) << r.complaint;
  EXPECT_EQ(r.frames[0].time.ns, 1'000'000'007);
  EXPECT_EQ(r.frames[1].time.ns, 100'500'000'000);
  EXPECT_EQ(r.frames[1].link_type, 101u);
  EXPECT_EQ(r.frames[2].time.ns, 3000);
  EXPECT_EQ(r.frames[2].link_type, 113u);
  EXPECT_EQ(r.frames[2].original, 99u);
  EXPECT_EQ(r.bytes[2], ethernet(60, 3));
}

TEST(PcapReader, sections_of_both_byte_orders_in_one_file) {
  auto r = read_all(join({section(false), interface_block(false, 1), enhanced(false, 0, 1, ethernet(60, 1)),
                          section(true), interface_block(true, 101), enhanced(true, 0, 2, ethernet(60, 2))}));
  ASSERT_EQ(r.frames.size(), 2u) << r.complaint;
  EXPECT_FALSE(r.frames[0].swapped);
  EXPECT_TRUE(r.frames[1].swapped);
  EXPECT_EQ(r.frames[1].link_type, 101u) << "a section's interfaces are its own";
}

TEST(PcapReader, simple_and_obsolete_packet_blocks) {
  Bytes idb = block(false, 1, Maker().u16(1).u16(0).u32(64).bytes);
  Bytes obsolete =
      block(false, 2, Maker().u16(0).u16(0).u32(0).u32(9).u32(60).u32(60).add(ethernet(60, 1)).bytes);
  Bytes simple = block(false, 3, Maker().u32(100).add(ethernet(64, 2)).bytes);
  auto r = read_all(join({section(false), idb, obsolete, simple}));
  ASSERT_EQ(r.frames.size(), 2u) << r.complaint;
  EXPECT_EQ(r.frames[0].time.ns, 9000);
  EXPECT_EQ(r.frames[1].time.ns, 9000) << "no time of its own";
  EXPECT_EQ(r.bytes[1].size(), 64u) << "cut at the interface's snap length";
  EXPECT_EQ(r.frames[1].original, 100u);
}

TEST(PcapReader, frame_check_sequence_is_cut_off) {
  auto r = read_all(Classic(0xa1b2c3d4, 1 | 0x04000000 | 2u << 28).frame(0, 0, ethernet(64, 1)).make.bytes);
  ASSERT_EQ(r.frames.size(), 1u);
  EXPECT_EQ(r.bytes[0].size(), 60u);
  EXPECT_EQ(r.frames[0].original, 60u);
}

TEST(PcapReader, kuznetzov_records_have_longer_headers) {
  Classic c(0xa1b2cd34, 1);
  c.make.u32(1).u32(0).u32(60).u32(60).u32(0).u32(0).add(ethernet(60, 9));
  EXPECT_EQ(read_all(c.make.bytes).bytes.at(0), ethernet(60, 9));
}

TEST(PcapReader, refuses_what_is_no_capture) {
  EXPECT_TRUE(says(refusal({}), "empty"));
  EXPECT_TRUE(says(refusal({1, 2, 3, 4, 5}), "neither a pcap nor a pcapng"));
  EXPECT_TRUE(says(refusal({0x1f, 0x8b, 8, 0, 0}), "compressed"));
  Bytes head = Classic(0xa1b2c3d4, 1).make.bytes;
  EXPECT_TRUE(says(refusal(Bytes(head.begin(), head.begin() + 23)), "file header"));
  head[4] = 9;
  EXPECT_TRUE(says(refusal(head), "version 9"));
  Bytes ng = section(false);
  EXPECT_TRUE(says(refusal(Bytes(ng.begin(), ng.begin() + 20)), "section header"));
  ng[8] = 0;
  EXPECT_TRUE(says(refusal(ng), "byte-order"));
  EXPECT_TRUE(says(PcapReader::open("/no/such.pcap").error(), "/no/such.pcap"));
  EXPECT_TRUE(says(PcapReader::open("/tmp").error(), "directory"));
}

TEST(PcapReader, a_cut_file_gives_what_is_whole_and_says_where) {
  Bytes whole = Classic(0xa1b2c3d4, 1).frame(1, 0, ethernet(60, 1)).frame(2, 0, ethernet(60, 2)).make.bytes;
  for (size_t cut = 24 + 76 + 1; cut < whole.size(); cut++) {
    auto r = read_all(Bytes(whole.begin(), whole.begin() + static_cast<long>(cut)));
    EXPECT_EQ(r.frames.size(), 1u);
    EXPECT_EQ(r.last, PcapReader::Next::broken);
    EXPECT_TRUE(says(r.complaint, "byte 100")) << r.complaint;
  }
}

TEST(PcapReader, impossible_records_end_the_capture) {
  auto huge = read_all(
      Classic(0xa1b2c3d4, 1).frame(1, 0, ethernet(60, 1)).make.u32(0).u32(0).u32(0x7fffffff).u32(1).bytes);
  EXPECT_EQ(huge.frames.size(), 1u);
  EXPECT_TRUE(says(huge.complaint, "2147483647"));
  Bytes start = join({section(false), interface_block(false, 1)});
  auto broken = [&](const Bytes& b) {
    auto r = read_all(join({start, b}));
    EXPECT_EQ(r.last, PcapReader::Next::broken);
    EXPECT_TRUE(r.frames.empty());
    return r.complaint;
  };
  EXPECT_TRUE(says(broken(Maker().u32(6).u32(8).u32(8).bytes), "claims 8"));
  EXPECT_TRUE(says(broken(enhanced(false, 1, 0, ethernet(60, 1))), "malformed"))
      << "an interface that is not there";
  EXPECT_TRUE(
      says(broken(block(false, 6, Maker().u32(0).u32(0).u32(0).u32(999).u32(999).bytes)), "malformed"));
  Bytes two_lengths = enhanced(false, 0, 0, ethernet(60, 1));
  two_lengths[two_lengths.size() - 4] ^= 4;
  EXPECT_TRUE(says(broken(two_lengths), "lengths differ"));
}

TEST(PcapReader, time_stays_in_range) {
  Bytes idb = interface_block(false, 1, Maker().u16(14).u16(8).u64(UINT64_MAX >> 1).bytes);
  auto r = read_all(join({section(false), idb, enhanced(false, 0, UINT64_MAX, ethernet(60, 1))}));
  ASSERT_EQ(r.frames.size(), 1u);
  EXPECT_LT(r.frames[0].time, Instant::never());
  EXPECT_GT(r.frames[0].time.ns, 0);
}

}  // namespace
}  // namespace sluice::port::test
