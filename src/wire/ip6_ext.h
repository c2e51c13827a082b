// IPv6 extension headers and the options in them (RFC 8200 4), as pure functions over the bytes of a packet
// from its IPv6 header to its end. Offsets count from the IPv6 header, as ICMPv6 pointers do.
//
// Progress: a header is at least 8 bytes long and an option at least 1, every step moves forward by that
// much, and none passes the end of the bytes: a walk over n bytes ends after at most n steps. The chain is
// bounded by kMaxIp6Chain besides, so that work per packet is.
#pragma once

#include <cstdint>

#include "wire/headers.h"

namespace sluice::wire {

// Headers of a chain that are looked at; behind more the upper layer counts as hidden.
inline constexpr unsigned kMaxIp6Chain = 16;
// Options of one header, without padding, and bytes of padding between two (RFC 8504 5.3).
inline constexpr unsigned kMaxIp6Options = 8, kMaxIp6Padding = 7;

inline constexpr uint8_t kIp6OptPad1 = 0, kIp6OptPadN = 1, kIp6OptRouterAlert = 0x05, kIp6OptJumbo = 0xc2;

struct Ip6ExtHeader {
  uint8_t type;       // its protocol number
  unsigned offset;    // where it starts
  unsigned length;    // all of it is there
  unsigned named_at;  // offset of the next-header octet that says so
};

// The chain of hop-by-hop, routing, fragment, destination options and authentication headers.
class Ip6Chain {
 public:
  enum class End : uint8_t {
    upper,           // an upper-layer protocol, ESP, or 59 (nothing) follows
    later_fragment,  // data of a fragment whose offset is not 0
    truncated,       // the bytes end within a header
    too_many,        // more than kMaxIp6Chain headers, or a second fragment header
  };

  // `packet` holds at least the fixed header.
  explicit Ip6Chain(ConstBytes packet) : packet_(packet), proto_(at<Ip6Hdr>(packet.data())->next_header) {}

  // The next header; false at the end of the chain.
  bool next(Ip6ExtHeader& h);

  // After false.
  End end() const { return end_; }
  uint8_t proto() const { return proto_; }  // what follows; truncated and too_many: the header not gone into
  unsigned offset() const { return at_; }   // where it starts; at most the packet's size
  unsigned named_at() const { return named_at_; }
  // The fragment header that was passed, or null. One with offset 0 and no more to come is an atomic
  // fragment (RFC 6946): a whole packet.
  const Ip6Frag* fragment() const { return fragment_; }

 private:
  bool finish(End e) {
    end_ = e;
    return false;
  }

  ConstBytes packet_;
  unsigned at_ = sizeof(Ip6Hdr), named_at_ = 6, count_ = 0;
  uint8_t proto_;
  End end_ = End::upper;
  const Ip6Frag* fragment_ = nullptr;
};

struct Ip6Option {
  uint8_t type;
  unsigned offset;  // of the type octet
  unsigned length;  // of the data, behind type and length octets
};

// The options of a hop-by-hop or destination options header that Ip6Chain found. Padding is passed over.
class Ip6OptionWalk {
 public:
  Ip6OptionWalk(ConstBytes packet, const Ip6ExtHeader& h)
      : packet_(packet), at_(h.offset + 2), end_(h.offset + h.length) {}

  bool next(Ip6Option& o);
  // After false. at(): offset of the octet at fault.
  bool malformed() const { return malformed_; }
  // Padding too long or not zero: a covert channel, not an error.
  bool excessive() const { return excessive_; }
  unsigned at() const { return at_; }

 private:
  ConstBytes packet_;
  unsigned at_, end_;
  bool malformed_ = false, excessive_ = false;
};

// What a node does about a packet's extension headers.
struct Ip6ExtVerdict {
  enum class Act : uint8_t {
    pass,
    drop,     // silently
    problem,  // drop, and send parameter problem `code` with `pointer` where an error is due
  };
  Act act = Act::pass;
  uint8_t code = 0;
  uint32_t pointer = 0;
};

// Every node on the way (RFC 8200 4.2, 4.3; RFC 2675 3 for jumbo payloads, which no frame here can hold).
// `packet` starts with a hop-by-hop header behind the fixed header, or is said to.
Ip6ExtVerdict check_hop_by_hop(ConstBytes packet);

// The destination alone: routing headers with segments left (RFC 8200 4.4, RFC 5095), unknown destination
// options, a hop-by-hop header out of place, an authentication header. For a fragment, what stands in
// front of the fragment header; the rest is due when the packet is whole.
Ip6ExtVerdict check_destination_headers(ConstBytes packet);

}  // namespace sluice::wire
