// Frames for tests, spelt out field by field, and mbufs around them whose buffer ends where the frame ends:
// under AddressSanitizer a read of one byte too many is an error (ExactMbufDeathTest shows that it is).
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "packet/meta.h"
#include "wire/checksum.h"
#include "wire/headers.h"

#if defined(__SANITIZE_ADDRESS__)
#define SLUICE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLUICE_ASAN 1
#endif
#endif

namespace sluice::test {

using Octets = std::vector<uint8_t>;

inline Octets operator+(Octets a, const Octets& b) {
  const size_t n = a.size();
  a.resize(n + b.size());
  if (!b.empty()) std::memcpy(a.data() + n, b.data(), b.size());
  return a;
}
inline Octets zeros(size_t n, uint8_t v = 0) {
  return Octets(n, v);
}
inline Octets pattern(size_t n) {
  Octets o(n);
  for (size_t i = 0; i < n; ++i) o[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return o;
}
inline void put16(Octets& o, size_t at, unsigned v) {
  o.at(at) = static_cast<uint8_t>(v >> 8);
  o.at(at + 1) = static_cast<uint8_t>(v);
}
inline unsigned get16(const Octets& o, size_t at) {
  return o.at(at) << 8 | o.at(at + 1);
}
inline uint32_t get32(const Octets& o, size_t at) {
  return get16(o, at) << 16 | get16(o, at + 2);
}
inline Octets words(std::initializer_list<unsigned> v) {
  Octets o;
  for (unsigned w : v) o = o + Octets{static_cast<uint8_t>(w >> 8), static_cast<uint8_t>(w)};
  return o;
}
inline Octets of(const Ip4& a) {
  return Octets(reinterpret_cast<const uint8_t*>(&a), reinterpret_cast<const uint8_t*>(&a) + 4);
}
inline Octets of(const Ip6& a) {
  return Octets(a.b.begin(), a.b.end());
}
inline Octets of(const Mac& a) {
  return Octets(a.b.begin(), a.b.end());
}
inline Ip4 a4(std::string_view s) {
  return parse_ip4(s).value();
}
inline Ip6 a6(std::string_view s) {
  return parse_ip6(s).value();
}

// RFC 1071 as its section 4.1 has it, word by word: the reference for the fast one.
inline unsigned plain_sum(const Octets& o, uint32_t sum = 0) {
  for (size_t i = 0; i + 1 < o.size(); i += 2) sum += o[i] << 8 | o[i + 1];
  if (o.size() % 2) sum += o.back() << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
inline unsigned plain_checksum(const Octets& o) {
  return ~plain_sum(o) & 0xffff;
}

inline const Mac kOurs{{2, 0, 0, 0, 0, 1}}, kTheirs{{2, 0, 0, 0, 0, 2}},
    kBroadcast{{255, 255, 255, 255, 255, 255}};

inline Octets eth(const Octets& payload, unsigned type, const Mac& dst = kOurs, const Mac& src = kTheirs) {
  return of(dst) + of(src) + words({type}) + payload;
}

struct V4 {
  std::string_view src = "198.18.1.10", dst = "198.18.2.10";
  uint8_t proto = 17, ttl = 64, tos = 0;
  unsigned id = 1, frag = 0;
  Octets options;
  int total = -1;  // -1: right
  int version_ihl = -1;
  int checksum = -1;
};
inline Octets ip4(const V4& f, const Octets& payload) {
  Octets options = f.options;
  while (options.size() % 4) options.push_back(0);
  const size_t header = 20 + options.size();
  Octets o = words({f.tos, f.total >= 0 ? unsigned(f.total) : unsigned(header + payload.size()), f.id, f.frag,
                    unsigned(f.ttl << 8 | f.proto), 0}) +
             of(a4(f.src)) + of(a4(f.dst)) + options;
  o[0] = static_cast<uint8_t>(f.version_ihl >= 0 ? f.version_ihl : 0x40 | header / 4);
  put16(o, 10, f.checksum >= 0 ? unsigned(f.checksum) : plain_checksum(o));
  return o + payload;
}

struct V6 {
  std::string_view src = "2001:db8:1::10", dst = "2001:db8:2::10";
  uint8_t next = 17, hop_limit = 64;
  int payload_length = -1;
  uint8_t version = 6;
};
inline Octets ip6(const V6& f, const Octets& payload) {
  return Octets{static_cast<uint8_t>(f.version << 4), 0, 0, 0} +
         words({f.payload_length >= 0 ? unsigned(f.payload_length) : unsigned(payload.size())}) +
         Octets{f.next, f.hop_limit} + of(a6(f.src)) + of(a6(f.dst)) + payload;
}

inline Octets udp(unsigned sport, unsigned dport, const Octets& data = {}) {
  return words({sport, dport, unsigned(8 + data.size()), 0}) + data;
}
inline Octets tcp(unsigned sport, unsigned dport, uint8_t flags, uint32_t seq = 0, uint32_t ack = 0,
                  const Octets& data = {}, uint8_t offset = 5) {
  return words({sport, dport, seq >> 16, seq & 0xffff, ack >> 16, ack & 0xffff,
                unsigned(offset << 12 | flags), 1000, 0, 0}) +
         data;
}
// Puts the right checksum into the TCP segment from `l4` to the end of a packet.
inline void seal_tcp(Octets& ip, size_t l4) {
  const bool six = ip[0] >> 4 == 6;
  const Octets ends(ip.begin() + (six ? 8 : 12), ip.begin() + (six ? 40 : 20));
  put16(ip, l4 + 16, 0);
  const Octets segment(ip.begin() + static_cast<std::ptrdiff_t>(l4), ip.end());
  put16(ip, l4 + 16, plain_checksum(ends + words({6, unsigned(segment.size())}) + segment));
}
inline Octets icmp(uint8_t type, uint8_t code, const Octets& rest = zeros(4), const Octets& data = {}) {
  Octets o = Octets{type, code, 0, 0} + rest + data;
  if (o.size() >= 4) put16(o, 2, plain_checksum(o));
  return o;
}
// A hop-by-hop, routing or destination options header; `body` is padded with PadN to a multiple of 8.
inline Octets ext(uint8_t next, Octets body) {
  const size_t pad = (8 - (body.size() + 2) % 8) % 8;
  if (pad == 1)
    body.push_back(0);
  else if (pad)
    body = body + Octets{1, static_cast<uint8_t>(pad - 2)} + zeros(pad - 2);
  return Octets{next, static_cast<uint8_t>((body.size() + 2) / 8 - 1)} + body;
}
inline Octets frag6(uint8_t next, unsigned offset, bool more, uint32_t id = 7) {
  return Octets{next, 0} + words({offset | more, id >> 16, id & 0xffff});
}

// A mbuf of its own, outside of any pool, never to be freed by rte_pktmbuf_free.
class ExactMbuf {
 public:
  explicit ExactMbuf(const Octets& frame, uint16_t port = 0) : bytes_(new uint8_t[frame.size()]) {
    if (!frame.empty()) std::memcpy(bytes_.get(), frame.data(), frame.size());
    std::memset(&b_->m, 0, sizeof(rte_mbuf));
    rte_mbuf& m = b_->m;
    m.buf_addr = bytes_.get();
    m.buf_len = m.data_len = static_cast<uint16_t>(frame.size());
    m.pkt_len = m.data_len;
    m.priv_size = kMbufPrivate;
    m.nb_segs = 1;
    m.port = port;
    rte_mbuf_refcnt_set(&m, 1);
  }
  operator rte_mbuf*() { return &b_->m; }
  rte_mbuf* operator->() { return &b_->m; }
  Octets frame() const {
    const uint8_t* p = rte_pktmbuf_mtod(&b_->m, const uint8_t*);
    return Octets(p, p + b_->m.data_len);
  }

 private:
  struct Block {
    rte_mbuf m;
    uint8_t priv[kMbufPrivate];
  };
  std::unique_ptr<Block> b_ = std::make_unique<Block>();
  std::unique_ptr<uint8_t[]> bytes_;
};

inline Octets octets_of(const rte_mbuf* m) {
  const uint8_t* p = rte_pktmbuf_mtod(m, const uint8_t*);
  return Octets(p, p + m->data_len);
}

}  // namespace sluice::test
