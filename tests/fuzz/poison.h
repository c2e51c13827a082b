// mbufs of which a reader may touch the payload and nothing else: under AddressSanitizer one byte too far is a report,
// though the pool's memory goes on. Other builds do the same without the poison.
#pragma once

#include <rte_eal.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <span>

#include "fuzz/input.h"
#include "packet/meta.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#endif
#ifndef SLUICE_ASAN
#define SLUICE_ASAN 0
#endif
#if SLUICE_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) static_cast<void>(0)
#define ASAN_UNPOISON_MEMORY_REGION(p, n) static_cast<void>(0)
#endif

namespace sluice::fuzz {

class PoisonedPool {
 public:
  static constexpr uint16_t kRoom = 2048, kOffset = 64;  // of the payload in a mbuf's data, as behind headers

  PoisonedPool(const char* name, unsigned n) : pool_(rte_pktmbuf_pool_create(name, n, 0, kMbufPrivate, kRoom, -1)) {
    check(pool_);
  }

  // Null: none is left. `tailroom`: the room behind the payload is the stack's to write to, and so not poisoned.
  rte_mbuf* make(std::span<const uint8_t> payload, bool tailroom) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool_);
    if (!m) return nullptr;
    auto* room = static_cast<uint8_t*>(m->buf_addr);
    ASAN_UNPOISON_MEMORY_REGION(room, kRoom);
    const auto size = static_cast<uint16_t>(kOffset + payload.size());
    m->data_off = 0;
    m->data_len = size;
    m->pkt_len = size;
    m->buf_len = tailroom ? kRoom : size;
    std::copy(payload.begin(), payload.end(), room + kOffset);
    ASAN_POISON_MEMORY_REGION(room, kOffset);
    if (!tailroom) ASAN_POISON_MEMORY_REGION(room + size, size_t{kRoom} - size);
    return m;
  }
  unsigned in_use() const { return rte_mempool_in_use_count(pool_); }
  rte_mempool* pool() const { return pool_; }

 private:
  rte_mempool* pool_;  // as long as the process
};

// Once a process: a fuzz target has no main of its own.
inline void start_eal() {
  static const bool up = [] {
    static const char* args[] = {"fuzz",     "--no-huge",      "--no-shconf",   "-m",       "128",
                                 "--no-pci", "--no-telemetry", "--log-level=3", "--lcores", "0@0"};
    return rte_eal_init(10, const_cast<char**>(args)) >= 0;
  }();
  check(up);
}

}  // namespace sluice::fuzz
