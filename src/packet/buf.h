// A mbuf has one owner. Buf is that owner where a packet is handled singly (control paths, the stack);
// bursts on the hot path are plain arrays, and each stage keeps kept + dropped + stolen = given.
#pragma once

#include <rte_mbuf.h>

#include <span>
#include <utility>

#include "wire/headers.h"

namespace sluice {

// The bytes of the first segment. Ports refuse chained mbufs; of those that the stack makes, all headers are in the first.
inline wire::Bytes bytes_of(rte_mbuf* m) { return {rte_pktmbuf_mtod(m, uint8_t*), m->data_len}; }
inline wire::ConstBytes bytes_of(const rte_mbuf* m) { return {rte_pktmbuf_mtod(m, const uint8_t*), m->data_len}; }

class Buf {
 public:
  Buf() = default;
  explicit Buf(rte_mbuf* m) : m_(m) {}
  Buf(Buf&& o) noexcept : m_(std::exchange(o.m_, nullptr)) {}
  Buf& operator=(Buf&& o) noexcept {
    if (this != &o) {
      reset();
      m_ = std::exchange(o.m_, nullptr);
    }
    return *this;
  }
  ~Buf() { reset(); }

  explicit operator bool() const { return m_; }
  rte_mbuf* get() const { return m_; }
  rte_mbuf* release() { return std::exchange(m_, nullptr); }
  void reset() {
    if (m_) rte_pktmbuf_free(std::exchange(m_, nullptr));
  }
  wire::Bytes bytes() const { return bytes_of(m_); }

 private:
  rte_mbuf* m_ = nullptr;
};

}  // namespace sluice
