// Reassembly of packets for the box (RFC 791 3.2, RFC 8200 4.5, RFC 5722).
//
// Theory of operation
//
// A datagram under reassembly is a flat buffer in a mapping that is touched as it is needed: headers end
// where the payload starts, at a fixed place, so that fragments are copied where they belong, in whatever
// order they come. Two bits per 8 bytes say what has come: `covered`, and `starts` where a fragment began.
// With both, an exact duplicate (the same bytes between the same boundaries) is told from an overlap:
//
//   a duplicate  is dropped, and does no harm (RFC 8200 4.5)
//   an overlap   poisons the datagram: it and all that still comes of it is dropped until its time is up
//
// Nothing is ever stored twice, so the datagram is complete when the bytes stored are as many as the last
// fragment says there are.
//
// One mbuf per datagram is kept, the first fragment once it is there: it stands for the datagram in the
// audit and in ICMP quotes. The others are consumed as soon as they are copied.
//
// Bounds: `reassembly_datagrams` in all and `reassembly_per_source` of one source; beyond them the oldest
// (of that source) gives way, so that a flood of fragments cannot keep an honest datagram out for longer
// than it takes to arrive.
#pragma once

#include <memory>
#include <vector>

#include "base/hash.h"
#include "stack/datagram.h"

namespace sluice::stack {

struct Fragment {
  uint32_t id;
  uint8_t proto;           // of what is fragmented
  uint16_t offset;         // bytes
  bool more;
  unsigned header_at = 0;  // IPv6: offset of the fragment header in the packet
  unsigned named_at = 0;   // IPv6: of the next-header octet that names it
};

class Reassembly {
 public:
  explicit Reassembly(Core& core);
  ~Reassembly();
  Reassembly(const Reassembly&) = delete;

  // Takes the fragment `d`, whose data starts at d.l4. true: its datagram is complete and in `whole`, whose
  // bytes stay until release().
  bool add(Turn& t, Datagram& d, const Fragment& f, Datagram& whole);
  void release();

  void tick(Turn& t);
  Instant next_deadline() const;
  unsigned held() const { return held_; }

 private:
  static constexpr unsigned kPayload = 65536, kHeaders = 4096, kBuffer = kHeaders + kPayload;
  static constexpr unsigned kUnits = kPayload / 8, kWords = kUnits / 64;
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Bits {
    uint64_t w[kWords];
    bool test(unsigned i) const { return w[i / 64] >> (i % 64) & 1; }
    void set(unsigned i) { w[i / 64] |= uint64_t{1} << (i % 64); }
  };
  struct Item {
    uint64_t hash = 0;       // of the key; 0: free
    IpAddr src, dst;
    uint32_t id = 0;
    uint8_t proto = 0;       // IPv4: part of the key. IPv6: of the first fragment
    uint8_t traffic_class = 0, hop_limit = 0;
    bool poisoned = false, first = false;
    uint32_t stored = 0;     // bytes
    uint32_t total = 0;      // bytes, once the last fragment is there
    uint32_t headers = 0;    // bytes in front of the payload
    uint32_t proto_at = 0;   // IPv6: where the next-header octet stands that named the fragment header
    rte_mbuf* m = nullptr;   // the datagram's representative
    Instant deadline{};
    uint32_t older = kNone, newer = kNone;
  };
  struct Unmap {
    size_t size;
    void operator()(uint8_t* p) const;
  };
  enum class Fit : uint8_t { fresh, duplicate, overlap };

  bool sane(Turn& t, Datagram& d, const Fragment& f);
  uint32_t find(const Datagram& d, const Fragment& f, uint64_t hash) const;
  uint32_t start(Turn& t, const Datagram& d, const Fragment& f, uint64_t hash);
  Fit fit(uint32_t i, const Fragment& f, wire::ConstBytes data) const;
  void store(Turn& t, uint32_t i, Datagram& d, const Fragment& f);
  void keep(Turn& t, Item& item, rte_mbuf* m, bool first);
  void poison(Turn& t, uint32_t i, rte_mbuf* m);
  void finish(Turn& t, uint32_t i, Datagram& whole);
  void give_up(Turn& t, uint32_t i, DropReason why, bool tell);
  void free_item(uint32_t i);
  uint8_t* payload(uint32_t i) const { return memory_.get() + size_t{i} * kBuffer + kHeaders; }

  HashKey key_;
  Core& core_;
  std::vector<Item> item_;
  std::vector<uint32_t> free_;
  std::unique_ptr<Bits[]> covered_, starts_;
  std::unique_ptr<uint8_t[], Unmap> memory_;
  uint32_t oldest_ = kNone, newest_ = kNone;
  uint32_t finished_ = kNone;  // what release() frees
  unsigned held_ = 0;
};

}  // namespace sluice::stack
