#include "port/pcap_link.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice::port {

namespace {

constexpr uint32_t kNull = 0, kEthernet = 1, kRawBsd = 12, kRawOpenBsd = 14, kRaw = 101, kLoop = 108,
                   kSll = 113, kIpv4 = 228, kIpv6 = 229, kSll2 = 276;

struct SllHdr {
  be16 packet_type, arphrd, address_length;
  uint8_t address[8];
  be16 protocol;
};
static_assert(sizeof(SllHdr) == 16);

struct Sll2Hdr {
  be16 protocol, reserved;
  be32 interface;
  be16 arphrd;
  uint8_t packet_type, address_length;
  uint8_t address[8];
};
static_assert(sizeof(Sll2Hdr) == 20);

constexpr uint16_t kSllBroadcast = 1;
constexpr uint16_t kLargestLength = 1500;  // an EtherType field up to here is a length (IEEE 802.3 3.2.6)

constexpr Mac kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr Mac kNobody{{0x02, 0, 0, 0, 0, 0}};

// What a sender on Ethernet would have written.
Mac destination_mac(uint16_t ethertype, wire::ConstBytes packet, const Mac& own) {
  if (ethertype == wire::kEthIp4) {
    if (auto* ip = wire::peek<wire::Ip4Hdr>(packet)) {
      if (ip->dst.multicast()) return multicast_mac(ip->dst);
      if (ip->dst.host() == 0xffffffff) return kBroadcast;
    }
  } else if (ethertype == wire::kEthIp6) {
    if (auto* ip = wire::peek<wire::Ip6Hdr>(packet); ip && ip->dst.multicast()) return multicast_mac(ip->dst);
  }
  return own;
}

LinkFrame with_header(uint16_t ethertype, wire::ConstBytes packet, const Mac& own,
                      const Mac& from = kNobody) {
  LinkFrame r;
  r.payload = packet;
  r.header = wire::EthHdr{destination_mac(ethertype, packet, own), from, be16::from(ethertype)};
  return r;
}

LinkFrame rejected(DropReason why) {
  LinkFrame r;
  r.reject = why;
  return r;
}

// The version decides; a wrong one goes on as IPv4, and the path names the fault.
LinkFrame raw_ip(wire::ConstBytes packet, const Mac& own) {
  bool six = !packet.empty() && packet[0] >> 4 == 6;
  return with_header(six ? wire::kEthIp6 : wire::kEthIp4, packet, own);
}

Mac sender(const uint8_t* address, unsigned length) {
  Mac m = kNobody;
  if (length == 6) std::copy_n(address, 6, m.b.begin());
  // A group address cannot send; captures of devices without addresses hold zeros.
  return m.group() || m.zero() ? kNobody : m;
}

LinkFrame cooked(uint16_t protocol, uint16_t type, const Mac& from, wire::ConstBytes packet, const Mac& own) {
  // 802.2 frames carry a length instead of an EtherType; so do the pseudo protocols below 0x600.
  if (protocol < 0x600) protocol = static_cast<uint16_t>(std::min<size_t>(packet.size(), kLargestLength));
  LinkFrame r = with_header(protocol, packet, own, from);
  if (type == kSllBroadcast) r.header->dst = kBroadcast;
  return r;
}

LinkFrame bsd_loopback(wire::ConstBytes bytes, bool swapped, const Mac& own) {
  if (bytes.size() < 4) return rejected(DropReason::frame_short);
  uint32_t family;
  std::memcpy(&family, bytes.data(), 4);
  if (swapped) family = byte_swapped(family);
  if (family > 0xffff) family = byte_swapped(family);  // written by a machine of the other byte order
  auto packet = bytes.subspan(4);
  switch (family) {
    case 2:
      return with_header(wire::kEthIp4, packet, own);
    case 10:
    case 23:
    case 24:
    case 28:
    case 30:  // AF_INET6 of Linux, Windows, NetBSD, FreeBSD, Darwin
      return with_header(wire::kEthIp6, packet, own);
    default:
      return rejected(DropReason::link_type_unsupported);
  }
}

}  // namespace

bool link_type_known(uint32_t t) {
  constexpr uint32_t known[] = {kNull, kEthernet, kRawBsd, kRawOpenBsd, kRaw,
                                kLoop, kSll,      kIpv4,   kIpv6,       kSll2};
  return std::find(std::begin(known), std::end(known), t) != std::end(known);
}

std::string link_type_name(uint32_t t) {
  constexpr std::pair<uint32_t, const char*> names[] = {{kNull, "BSD loopback"},
                                                        {kEthernet, "Ethernet"},
                                                        {9, "PPP"},
                                                        {10, "FDDI"},
                                                        {105, "IEEE 802.11"},
                                                        {kLoop, "OpenBSD loopback"},
                                                        {kSll, "Linux cooked"},
                                                        {119, "802.11 with Prism header"},
                                                        {127, "802.11 with radiotap header"},
                                                        {189, "USB"},
                                                        {230, "IEEE 802.15.4"},
                                                        {kSll2, "Linux cooked v2"},
                                                        {kRaw, "raw IP"},
                                                        {kRawBsd, "raw IP"},
                                                        {kRawOpenBsd, "raw IP"},
                                                        {kIpv4, "raw IPv4"},
                                                        {kIpv6, "raw IPv6"}};
  for (auto& [n, text] : names)
    if (n == t) return std::string(text) + " (" + std::to_string(t) + ")";
  return "link type " + std::to_string(t);
}

LinkFrame to_ethernet(const PcapReader::Frame& f, const Mac& own) {
  auto b = f.bytes;
  switch (f.link_type) {
    case kEthernet: {
      LinkFrame r;
      r.payload = b;
      return r;
    }
    case kRaw:
    case kRawBsd:
    case kRawOpenBsd:
      return raw_ip(b, own);
    case kIpv4:
      return with_header(wire::kEthIp4, b, own);
    case kIpv6:
      return with_header(wire::kEthIp6, b, own);
    case kNull:
    case kLoop:
      return bsd_loopback(b, f.swapped, own);
    case kSll:
      if (auto* h = wire::peek<SllHdr>(b))
        return cooked(h->protocol.host(), h->packet_type.host(), sender(h->address, h->address_length.host()),
                      b.subspan(sizeof(SllHdr)), own);
      return rejected(DropReason::frame_short);
    case kSll2:
      if (auto* h = wire::peek<Sll2Hdr>(b))
        return cooked(h->protocol.host(), h->packet_type, sender(h->address, h->address_length),
                      b.subspan(sizeof(Sll2Hdr)), own);
      return rejected(DropReason::frame_short);
    default:
      return rejected(DropReason::link_type_unsupported);
  }
}

}  // namespace sluice::port
