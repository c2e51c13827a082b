#include "wire/headers.h"

#include <gtest/gtest.h>

#include "tests/unit/frames.h"

namespace sluice::wire {
namespace {

using namespace sluice::test;

TEST(Views, OnlyWhereAllBytesAre) {
  Octets o = pattern(32);
  for (size_t size = 0; size <= 32; ++size) {
    for (size_t offset = 0; offset <= 40; ++offset) {
      const bool fits = offset + sizeof(Ip4Hdr) <= size;
      EXPECT_EQ(peek<Ip4Hdr>(ConstBytes(o.data(), size), offset) != nullptr, fits);
      EXPECT_EQ(edit<Ip4Hdr>(Bytes(o.data(), size), offset) != nullptr, fits);
    }
  }
  EXPECT_EQ(peek<Ip4Hdr>(ConstBytes(o), SIZE_MAX), nullptr);
  EXPECT_EQ(peek<Ip4Hdr>(ConstBytes(o), SIZE_MAX - 10), nullptr);
  EXPECT_EQ(peek<EthHdr>(ConstBytes{}), nullptr);
}

TEST(Views, FieldsAreWhereTheRfcsPutThem) {
  const Octets p =
      ip4({.proto = 6, .ttl = 9, .tos = 0xb8, .id = 0x1234, .frag = 0x7fff, .options = {1, 1, 1, 1}},
          tcp(1000, 443, kTcpSyn | kTcpAck, 0x01020304, 0x05060708, {}, 7));
  const Ip4Hdr* h = peek<Ip4Hdr>(p);
  EXPECT_EQ(h->version(), 4u);
  EXPECT_EQ(h->header_length(), 24u);
  EXPECT_EQ(h->tos, 0xb8);
  EXPECT_EQ(h->id.host(), 0x1234);
  EXPECT_EQ(h->frag_offset(), 65528);
  EXPECT_TRUE(h->more_fragments());
  EXPECT_TRUE(h->dont_fragment());
  EXPECT_EQ(h->ttl, 9);
  EXPECT_EQ(to_string(h->src), "198.18.1.10");
  const TcpHdr* t = peek<TcpHdr>(p, 24);
  EXPECT_EQ(t->sport.host(), 1000);
  EXPECT_EQ(t->seq.host(), 0x01020304u);
  EXPECT_EQ(t->ack.host(), 0x05060708u);
  EXPECT_EQ(t->header_length(), 28u);
  EXPECT_EQ(t->flags, 0x12);
  EXPECT_EQ(t->window.host(), 1000);

  const Octets six = ip6({.next = 44, .hop_limit = 7}, frag6(17, 1448, true, 0xdeadbeef) + udp(5, 6));
  const Ip6Hdr* h6 = peek<Ip6Hdr>(six);
  EXPECT_EQ(h6->version(), 6u);
  EXPECT_EQ(h6->payload_length.host(), 16);
  EXPECT_EQ(h6->hop_limit, 7);
  EXPECT_EQ(to_string(h6->dst), "2001:db8:2::10");
  const Ip6Frag* f = peek<Ip6Frag>(six, 40);
  EXPECT_EQ(f->offset(), 1448);
  EXPECT_TRUE(f->more());
  EXPECT_EQ(f->id.host(), 0xdeadbeefu);
}

}  // namespace
}  // namespace sluice::wire
