#include "tcp/connection_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace sluice::tcp {
namespace {

const HashKey kKey{{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9, 0x27d4eb2f165667c5}};

// Neighbouring clients of one server, as a flood or a benchmark makes them; every third speaks IPv6.
Tuple client(uint32_t i) {
  Tuple t{Ip4::from_host(0xc6120001), Ip4::from_host(0xc6130000 + i / 50'000), 80, static_cast<uint16_t>(10'000 + i % 50'000)};
  if (i % 3 == 0) {
    t.local = *parse_ip("2001:db8::1");
    Ip6 a = parse_ip("2001:db8:1::")->v6();
    a.b[13] = static_cast<uint8_t>(i >> 16), a.b[14] = static_cast<uint8_t>(i >> 8), a.b[15] = static_cast<uint8_t>(i);
    t.remote = a;
  }
  return t;
}

class ConnectionTableTest : public ::testing::Test {
 protected:
  uint32_t add(const Tuple& t) {
    const uint32_t i = slab.take();
    slab.at(i).tuple = t;
    slab.at(i).hash = table.hash(t);
    table.insert(i);
    return i;
  }
  uint32_t find(const Tuple& t) const {
    const uint64_t h = table.hash(t);
    table.prefetch(h);
    table.prefetch_block(h);
    return table.find(t, h);
  }
  Slab<Tcb> slab{100'000};
  ConnectionTable table{kKey, slab};
};

TEST_F(ConnectionTableTest, Empty) { EXPECT_EQ(find(client(1)), kNone); }

TEST_F(ConnectionTableTest, HundredThousand) {
  std::vector<uint32_t> at;
  for (uint32_t i = 0; i < 100'000; i++) at.push_back(add(client(i)));
  for (uint32_t i = 0; i < 100'000; i++) ASSERT_EQ(find(client(i)), at[i]);
  for (uint32_t i = 100'000; i < 200'000; i++) ASSERT_EQ(find(client(i)), kNone);

  std::vector<uint32_t> order(100'000);
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::shuffle(order.begin(), order.end(), std::mt19937(5));
  for (uint32_t n = 0; n < 50'000; n++) {
    table.remove(at[order[n]]);
    slab.give(at[order[n]]);
    at[order[n]] = kNone;
  }
  for (uint32_t i = 0; i < 100'000; i++) ASSERT_EQ(find(client(i)), at[i]);
  for (uint32_t n = 0; n < 50'000; n++) at[order[n]] = add(client(order[n]));
  for (uint32_t i = 0; i < 100'000; i++) ASSERT_EQ(find(client(i)), at[i]);
}

// Blocks of one chain, taken out of its middle, end and beginning.
TEST_F(ConnectionTableTest, AChain) {
  std::vector<uint32_t> at;
  for (uint32_t i = 0; i < 5; i++) {
    const uint32_t b = slab.take();
    slab.at(b).tuple = client(i);
    slab.at(b).hash = 42;
    table.insert(b);
    at.push_back(b);
  }
  for (const uint32_t gone : {2u, 0u, 4u, 1u, 3u}) {
    ASSERT_EQ(table.find(client(gone), 42), at[gone]);
    table.remove(at[gone]);
    at[gone] = kNone;
    for (uint32_t i = 0; i < 5; i++) EXPECT_EQ(table.find(client(i), 42), at[i]);
  }
}

TEST_F(ConnectionTableTest, BothDirectionsAreDifferentConnections) {
  const Tuple t = client(1);
  Tuple back = t;
  std::swap(back.local, back.remote);
  std::swap(back.local_port, back.remote_port);
  EXPECT_NE(table.hash(t), table.hash(back));
  const uint32_t i = add(t);
  EXPECT_EQ(find(t), i);
  EXPECT_EQ(find(back), kNone);
}

// No field may be cancelled out by another, and the family counts.
TEST_F(ConnectionTableTest, EveryFieldIsHashed) {
  const Tuple four = client(1);
  Tuple six = four;
  six.local.family = six.remote.family = 6;
  EXPECT_NE(table.hash(four), table.hash(six));
  for (const Tuple& t : {four, client(3)}) {
    for (unsigned byte = 0; byte < t.local.bits() / 8; byte++)
      for (const bool local : {false, true}) {
        Tuple u = t;
        (local ? u.local : u.remote).b[byte] ^= 0x10;
        EXPECT_NE(table.hash(t), table.hash(u));
        u.remote_port ^= 0x10;
        EXPECT_NE(table.hash(t), table.hash(u));
      }
    Tuple u = t;
    std::swap(u.local_port, u.remote_port);
    EXPECT_NE(table.hash(t), table.hash(u));
  }
}

TEST_F(ConnectionTableTest, TheKeyMatters) {
  HashKey other = kKey;
  other.k[2] ^= 1;
  EXPECT_NE(table.hash(client(1)), ConnectionTable(other, slab).hash(client(1)));
}

TEST_F(ConnectionTableTest, NeighboursSpread) {
  std::vector<uint8_t> chains(1u << 18);
  for (uint32_t i = 0; i < 100'000; i++) chains[table.hash(client(i)) & (chains.size() - 1)]++;
  EXPECT_LE(*std::max_element(chains.begin(), chains.end()), 8);
}

}  // namespace
}  // namespace sluice::tcp
