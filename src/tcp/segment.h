// What goes into the library and what comes out of it: segments as values, host order, free of IP headers.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <span>

#include "base/drop_reason.h"
#include "tcp/seq.h"
#include "wire/addr.h"
#include "wire/headers.h"
#include "wire/tcp_options.h"

namespace sluice::tcp {

// A connection's four-tuple, seen from this side. Ports in host order.
struct Tuple {
  IpAddr local, remote;
  uint16_t local_port = 0, remote_port = 0;
  bool operator==(const Tuple&) const = default;
};

// ECN codepoints of the IP header (RFC 3168 5).
enum class Ecn : uint8_t { not_ect = 0, ect1 = 1, ect0 = 2, ce = 3 };

// Where a connection's packets come in, and so where answers go out: opaque here, handed back with every segment.
struct Path {
  uint16_t port = 0;
  uint8_t worker = 0;
};

// A received segment: header and checksum were found sound, the addresses are hosts' (no group, no broadcast).
struct InSegment {
  Tuple tuple;
  Seq seq, ack;
  uint8_t flags = 0;        // wire::kTcp…
  uint16_t window = 0;      // as it stands in the header: unscaled
  uint16_t urgent = 0;
  wire::TcpOptions options;
  rte_mbuf* m = nullptr;    // holds the payload; may be null where length is 0
  uint16_t offset = 0;      // of the payload in m's data
  uint16_t length = 0;      // of the payload, bytes
  Ecn ecn = Ecn::not_ect;
  uint16_t mtu = 1500;      // of the link it came in on: bounds the MSS that is announced
  Path path;

  bool has(uint8_t f) const { return flags & f; }
  // RFC 9293's SEG.LEN: SYN and FIN count.
  uint32_t seg_len() const { return length + has(wire::kTcpSyn) + has(wire::kTcpFin); }
};

// What became of a received segment's mbuf.
struct Taken {
  enum class By : uint8_t {
    caller,   // handled; the mbuf is still the caller's, to be freed as consumed
    library,  // kept: the library frees it, through Buffers
    nobody,   // not handled for `reason`; still the caller's, to be dropped
  };
  By by = By::caller;
  DropReason reason = DropReason::count_;
};

// Something that keeps bytes alive while they wait to be acknowledged, other than a mbuf (a file's contents).
class Keeper {
 public:
  virtual void release() = 0;  // once for every slice that named it

 protected:
  ~Keeper() = default;
};

// Payload to be sent: immutable, referenced until it is acknowledged. With neither `m` nor `keeper` the bytes
// outlive the stack.
struct Slice {
  const uint8_t* data = nullptr;
  uint32_t length = 0;
  rte_mbuf* m = nullptr;      // one that Buffers counts; freed when all of the slice is acknowledged
  Keeper* keeper = nullptr;
};

// A segment to be sent. Payload longer than `mss` is to be cut into packets of that (GSO): FIN and PSH belong to the
// last, CWR to the first, everything else is repeated, and seq moves on. Valid during the call alone.
struct OutSegment {
  Tuple tuple;
  Seq seq, ack;
  uint8_t flags = 0;
  uint16_t window = 0;
  uint16_t urgent = 0;
  wire::ConstBytes options;        // padded to 4 bytes with NOPs
  std::span<const Slice> payload;  // its pieces, in order; a sink that need not copy refers to m, where it is set
  uint32_t length = 0;             // of all pieces
  uint16_t mss = 0;                // payload bytes of one packet; ≥ 1 where length is not 0
  Ecn ecn = Ecn::not_ect;
  uint8_t hop_limit = 64;
  bool dont_fragment = true;
  Path path;
};

class Sink {
 public:
  // false: could not be sent (no buffer). Loss recovery repairs it, as any other loss.
  virtual bool send(const OutSegment& s) = 0;
  // A SYN, or a connection's SYN-ACK, is about to be sent: an answer is expected.
  virtual void expects(const Tuple& t) { (void)t; }
  // A connection is open from now on.
  virtual void opened(const Tuple& t) { (void)t; }

 protected:
  ~Sink() = default;
};

// An ICMP error about a segment of ours (RFC 5927: believed only if it quotes a sequence number in flight).
struct IcmpError {
  enum class Kind : uint8_t { too_big, soft, hard } kind = Kind::soft;  // hard: port or protocol unreachable, prohibited
  Tuple tuple;       // local is the quoted segment's source
  Seq seq;           // the quoted segment's
  uint32_t mtu = 0;  // too_big: of the next link, 0: not told
};

}  // namespace sluice::tcp
