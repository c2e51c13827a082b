#include "packet/pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <set>

#include "packet/buf.h"
#include "packet/meta.h"
#include "tests/unit/eal_env.h"

namespace sluice {
namespace {

std::unique_ptr<PacketPool> make(const char* name, unsigned packets = 300, bool huge = false) {
  auto p = PacketPool::create(name, {.packets = packets, .cache = 0, .huge_pages = huge});
  EXPECT_TRUE(p.ok()) << p.error();
  return p.ok() ? std::move(*p) : nullptr;
}

std::vector<rte_mbuf*> take_all(PacketPool& p) {
  std::vector<rte_mbuf*> all;
  for (rte_mbuf* m; (m = rte_pktmbuf_alloc(p.mempool()));) all.push_back(m);
  return all;
}

// What AF_XDP relies on: each packet fills one aligned chunk, at the same place in each.
TEST(PacketPool, ChunksAreAUmem) {
  auto pool = make("umem");
  ASSERT_TRUE(pool);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(pool->memory()) % PacketPool::kChunk, 0u);
  EXPECT_EQ(pool->memory_size() % PacketPool::kChunk, 0u);
  EXPECT_GE(pool->memory_size(), pool->size() * PacketPool::kChunk);
  std::set<size_t> chunks;
  const std::vector<rte_mbuf*> all = take_all(*pool);
  ASSERT_EQ(all.size(), 300u);
  for (rte_mbuf* m : all) {
    const size_t at = static_cast<size_t>(static_cast<std::byte*>(m->buf_addr) - pool->memory());
    EXPECT_LT(at, pool->memory_size());
    EXPECT_EQ(at % PacketPool::kChunk, pool->data_offset());
    EXPECT_TRUE(chunks.insert(at / PacketPool::kChunk).second);
    EXPECT_EQ(pool->mbuf_at(at), m);
    EXPECT_EQ(pool->mbuf_at(at + 3000), m);
    EXPECT_LE(pool->data_offset() + m->buf_len, PacketPool::kChunk);
    EXPECT_GE(rte_pktmbuf_tailroom(m), 3584) << "a frame as long as AF_XDP's largest has no room";
  }
  for (rte_mbuf* m : all) rte_pktmbuf_free(m);
  EXPECT_EQ(pool->in_use(), 0u);
}

TEST(PacketPool, BoundedAndEmptyIsNull) {
  auto pool = make("bounded", 8);
  ASSERT_TRUE(pool);
  auto all = take_all(*pool);
  EXPECT_EQ(all.size(), 8u);
  EXPECT_EQ(pool->in_use(), 8u);
  EXPECT_EQ(rte_pktmbuf_alloc(pool->mempool()), nullptr);
  rte_pktmbuf_free(all.back());
  EXPECT_NE(all.back() = rte_pktmbuf_alloc(pool->mempool()), nullptr);
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
}

TEST(PacketPool, StashTravelsWithThePacketAndTouchesNothingElse) {
  auto pool = make("stash", 4);
  ASSERT_TRUE(pool);
  auto all = take_all(*pool);
  for (rte_mbuf* m : all) std::memset(m->buf_addr, 0x5a, m->buf_len);
  for (size_t i = 0; i < all.size(); ++i) {
    Meta meta;
    meta.in_port = static_cast<uint16_t>(i);
    meta.reason = DropReason::ttl_expired;
    stash(all[i]) = meta;
  }
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(stash(all[i]).in_port, i);
    EXPECT_EQ(stash(all[i]).reason, DropReason::ttl_expired);
    for (unsigned b = 0; b < all[i]->buf_len; ++b)
      ASSERT_EQ(static_cast<uint8_t*>(all[i]->buf_addr)[b], 0x5a);
    EXPECT_EQ(all[i]->pool, pool->mempool());
  }
  rte_pktmbuf_free_bulk(all.data(), static_cast<unsigned>(all.size()));
}

TEST(PacketPool, MemoryIsSharedThroughItsDescriptor) {
  auto pool = make("shared", 4);
  ASSERT_TRUE(pool);
  void* other = mmap(nullptr, pool->memory_size(), PROT_READ, MAP_SHARED, pool->memory_fd(), 0);
  ASSERT_NE(other, MAP_FAILED);
  Buf b(rte_pktmbuf_alloc(pool->mempool()));
  ASSERT_TRUE(b);
  std::strcpy(rte_pktmbuf_append(b.get(), 16), "seen from both");
  const auto at = reinterpret_cast<std::byte*>(b.bytes().data()) - pool->memory();
  EXPECT_STREQ(static_cast<const char*>(other) + at, "seen from both");
  munmap(other, pool->memory_size());
}

TEST(PacketPool, WorksWhereThereAreNoHugePagesToHave) {
  auto pool = make("wish", 600, true);  // asks for them; takes what it gets
  ASSERT_TRUE(pool);
  EXPECT_EQ(take_all(*pool).size(), 600u);
}

TEST(PacketPool, TheSameNameTwiceIsAnErrorAndLeavesTheFirstAlone) {
  auto first = make("twice", 4);
  ASSERT_TRUE(first);
  auto second = PacketPool::create("twice", {.packets = 4, .cache = 0, .huge_pages = false});
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().find("twice"), std::string::npos);
  EXPECT_EQ(take_all(*first).size(), 4u);
}

TEST(PacketPool, MoreThanTheMachineHasIsAnErrorThatNamesTheRemedy) {
  auto pool = PacketPool::create("vast", {.packets = 1u << 30, .cache = 0, .huge_pages = false});
  ASSERT_FALSE(pool.ok());
  EXPECT_NE(pool.error().find("memory.packets"), std::string::npos) << pool.error();
}

TEST(Buf, FreesOnceAndMoves) {
  auto pool = make("buf", 4);
  ASSERT_TRUE(pool);
  {
    Buf a(rte_pktmbuf_alloc(pool->mempool())), b(rte_pktmbuf_alloc(pool->mempool()));
    EXPECT_EQ(pool->in_use(), 2u);
    rte_mbuf* was = a.get();
    b = std::move(a);
    EXPECT_EQ(pool->in_use(), 1u);
    EXPECT_FALSE(a);  // NOLINT: moved-from on purpose
    EXPECT_EQ(b.get(), was);
    Buf& same = b;
    b = std::move(same);
    EXPECT_EQ(b.get(), was);
    Buf c(b.release());
    EXPECT_FALSE(b);
    EXPECT_EQ(pool->in_use(), 1u);
  }
  EXPECT_EQ(pool->in_use(), 0u);
}

}  // namespace
}  // namespace sluice
