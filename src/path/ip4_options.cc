#include "path/ip4_options.h"

#include <algorithm>
#include <optional>

#include "packet/buf.h"
#include "wire/checksum.h"
#include "wire/ip4_options.h"

namespace sluice::path {

namespace {

using wire::Bytes;
using wire::ConstBytes;
using wire::Ip4Option;

// Offsets within an option, and the pointer's least value: it counts octets from 1.
constexpr unsigned kLength = 1, kPointer = 2, kFlags = 3, kRouteFirst = 4, kStampFirst = 5;
enum StampKind : uint8_t { kTimeOnly = 0, kAddressAndTime = 1, kPrespecified = 3 };
constexpr uint8_t kOverflowFull = 15;

// Where a malformed option is at fault, counted from the IP header.
using Fault = std::optional<unsigned>;

struct Found {
  std::optional<Ip4Option> record, stamp;
  bool source_route = false;
};

unsigned pointer_of(ConstBytes header, const Ip4Option& o) {
  return header[o.offset + kPointer];
}
bool full(ConstBytes header, const Ip4Option& o) {
  return pointer_of(header, o) > o.length;
}
uint8_t stamp_kind(ConstBytes header, const Ip4Option& o) {
  return header[o.offset + kFlags] & 15;
}

// Room for `n` more octets at the pointer, or none at all.
Fault check_room(ConstBytes header, const Ip4Option& o, unsigned n) {
  const unsigned pointer = pointer_of(header, o);
  if (pointer <= o.length && pointer - 1 + n > o.length) return o.offset + kPointer;
  return {};
}

Fault check_route(ConstBytes header, const Ip4Option& o) {
  if (o.length < 3) return o.offset + kLength;
  if (pointer_of(header, o) < kRouteFirst) return o.offset + kPointer;
  return {};
}

Fault check_stamp(ConstBytes header, const Ip4Option& o) {
  if (o.length < 4) return o.offset + kLength;
  if (pointer_of(header, o) < kStampFirst) return o.offset + kPointer;
  const uint8_t kind = stamp_kind(header, o);
  if (full(header, o)) {
    if (kind != kPrespecified && header[o.offset + kFlags] >> 4 == kOverflowFull) return o.offset + kFlags;
    return {};
  }
  return check_room(header, o, kind == kAddressAndTime || kind == kPrespecified ? 8 : 4);
}

// All options, before anything is changed. The order of the tests is that of the octets.
Fault check(ConstBytes header, Found& found) {
  wire::Ip4OptionWalk walk(header);
  for (Ip4Option o; walk.next(o);) {
    Fault fault;
    switch (o.type) {
      case wire::kIp4OptLooseRoute:
      case wire::kIp4OptStrictRoute:
        fault = check_route(header, o);
        if (!fault && found.source_route) fault = o.offset;  // RFC 1812 5.2.4.1: one at most
        found.source_route = true;
        break;
      case wire::kIp4OptRecordRoute:
        if (found.record) return o.offset;
        fault = check_route(header, o);
        if (!fault) fault = check_room(header, o, 4);
        found.record = o;
        break;
      case wire::kIp4OptTimestamp:
        if (found.stamp) return o.offset;
        fault = check_stamp(header, o);
        found.stamp = o;
        break;
      case wire::kIp4OptRouterAlert:
        if (o.length < 4) fault = o.offset + kLength;  // RFC 2113 2.1
        break;
      default:
        break;
    }
    if (fault) return fault;
  }
  if (walk.malformed()) return walk.at();
  return {};
}

void put_address(Bytes at, const Ip4& a) {
  *wire::edit<Ip4>(at) = a;
}

// RFC 791 3.1: milliseconds; the high-order bit says that they do not count from midnight UT.
void put_time(Bytes at, Instant now) {
  const uint32_t ms = static_cast<uint32_t>(now.ns / 1'000'000 % 86'400'000);
  *wire::edit<be32>(at) = be32::from(ms | 0x80000000);
}

void record_route(Bytes header, const Ip4Option& o, const Ip4& own) {
  if (full(header, o)) return;
  uint8_t& pointer = header[o.offset + kPointer];
  put_address(header.subspan(o.offset + pointer - 1, 4), own);
  pointer = static_cast<uint8_t>(pointer + 4);
}

void record_time(Bytes header, const Ip4Option& o, const Interface& in, const Ip4& own, Instant now) {
  const uint8_t kind = stamp_kind(header, o);
  uint8_t& pointer = header[o.offset + kPointer];
  if (full(header, o)) {
    if (kind != kPrespecified)
      header[o.offset + kFlags] = static_cast<uint8_t>(header[o.offset + kFlags] + 0x10);
    return;
  }
  const unsigned at = o.offset + pointer - 1;
  if (kind == kTimeOnly) {
    put_time(header.subspan(at, 4), now);
    pointer = static_cast<uint8_t>(pointer + 4);
    return;
  }
  if (kind == kPrespecified) {
    const IpAddr next = *wire::peek<Ip4>(header, at);
    const bool ours = next == IpAddr(own) ||
                      std::ranges::any_of(in.addresses, [&](const Prefix& p) { return p.addr == next; });
    if (!ours) return;
  } else if (kind == kAddressAndTime) {
    put_address(header.subspan(at, 4), own);
  } else {
    return;  // a kind that RFC 791 does not have: not ours to write
  }
  put_time(header.subspan(at + 4, 4), now);
  pointer = static_cast<uint8_t>(pointer + 8);
}

}  // namespace

OptionsResult process_ip4_options(rte_mbuf* m, const Meta& meta, const Interface& in, const Ip4& own_address,
                                  Instant now) {
  constexpr uint8_t kParameterProblem = 12;
  const Bytes packet = bytes_of(m).subspan(meta.l3, meta.ip_length);
  wire::Ip4Hdr* ip = wire::at<wire::Ip4Hdr>(packet.data());
  const Bytes header = packet.first(ip->header_length());
  Found found;
  if (const Fault fault = check(header, found))
    return {DropReason::ip_options, true, kParameterProblem, 0, *fault};
  if (found.source_route) return {.drop = DropReason::ip_options};
  if (!found.record && !found.stamp) return {};
  if (found.record) record_route(header, *found.record, own_address);
  if (found.stamp) record_time(header, *found.stamp, in, own_address, now);
  ip->checksum = {};
  ip->checksum = wire::finish(wire::sum_bytes(header.data(), header.size()));
  return {};
}

}  // namespace sluice::path
