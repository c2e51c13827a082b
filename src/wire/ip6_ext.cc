#include "wire/ip6_ext.h"

#include <optional>

namespace sluice::wire {

namespace {

bool extension(uint8_t proto) {
  return proto == kProtoHopByHop || proto == kProtoRouting || proto == kProtoFragment ||
         proto == kProtoDestOpts || proto == kProtoAh;
}

unsigned length_of(uint8_t proto, uint8_t length_octet) {
  if (proto == kProtoFragment) return sizeof(Ip6Frag);
  if (proto == kProtoAh) return (length_octet + 2u) * 4;  // RFC 4302 2.2
  return (length_octet + 1u) * 8;
}

constexpr Ip6ExtVerdict kDrop{Ip6ExtVerdict::Act::drop};
Ip6ExtVerdict problem(uint8_t code, unsigned pointer) {
  return {Ip6ExtVerdict::Act::problem, code, pointer};
}

// RFC 8200 4.2: the two highest bits of an option that is not known say what to do.
std::optional<Ip6ExtVerdict> unknown_option(const Ip6Option& o, bool to_group) {
  switch (o.type >> 6) {
    case 0:
      return std::nullopt;
    case 1:
      return kDrop;
    case 2:
      return problem(2, o.offset);
    default:
      return to_group ? kDrop : problem(2, o.offset);
  }
}

// RFC 2675 3: the errors in their order there. A right one says that more follows than a frame can hold.
Ip6ExtVerdict jumbo(ConstBytes packet, const Ip6Option& o, bool payload_length_given) {
  if (o.length != 4) return problem(0, o.offset + 1);
  if (payload_length_given) return problem(0, o.offset);
  if (byte_swapped(load32(packet.data() + o.offset + 2)) <= 0xffff) return problem(0, o.offset + 2);
  return kDrop;
}

Ip6ExtVerdict end_of_options(const Ip6OptionWalk& w) {
  if (w.excessive()) return kDrop;
  return w.malformed() ? problem(0, w.at()) : Ip6ExtVerdict{};
}

Ip6ExtVerdict check_destination_options(ConstBytes packet, const Ip6ExtHeader& h, bool to_group) {
  Ip6OptionWalk walk(packet, h);
  Ip6Option o;
  for (unsigned n = 1; walk.next(o); ++n) {
    if (n > kMaxIp6Options) return kDrop;
    if (auto v = unknown_option(o, to_group)) return *v;
  }
  return end_of_options(walk);
}

}  // namespace

bool Ip6Chain::next(Ip6ExtHeader& h) {
  if (fragment_ && fragment_->offset() != 0) return finish(End::later_fragment);
  if (!extension(proto_)) return finish(End::upper);
  const Ip6Ext* ext = peek<Ip6Ext>(packet_, at_);
  if (!ext) return finish(End::truncated);
  const unsigned length = length_of(proto_, ext->length8);
  if (length > packet_.size() - at_) return finish(End::truncated);
  if (++count_ > kMaxIp6Chain) return finish(End::too_many);
  if (proto_ == kProtoFragment) {
    if (fragment_) return finish(End::too_many);
    fragment_ = at<Ip6Frag>(packet_.data() + at_);
  }
  h = {proto_, at_, length, named_at_};
  proto_ = ext->next_header;
  named_at_ = at_;
  at_ += length;
  return true;
}

bool Ip6OptionWalk::next(Ip6Option& o) {
  unsigned padding = 0;
  while (at_ < end_) {
    const uint8_t type = packet_[at_];
    if (type == kIp6OptPad1) {
      excessive_ |= ++padding > kMaxIp6Padding;
      ++at_;
      continue;
    }
    if (end_ - at_ < 2 || packet_[at_ + 1] > end_ - at_ - 2) {
      malformed_ = true;
      if (end_ - at_ >= 2) ++at_;
      return false;
    }
    const unsigned length = packet_[at_ + 1];
    if (type != kIp6OptPadN) {
      o = {type, at_, length};
      at_ += 2 + length;
      return !excessive_;
    }
    for (unsigned i = 0; i < length; ++i) excessive_ |= packet_[at_ + 2 + i] != 0;
    padding += 2 + length;
    excessive_ |= padding > kMaxIp6Padding;
    at_ += 2 + length;
  }
  return false;
}

Ip6ExtVerdict check_hop_by_hop(ConstBytes packet) {
  const Ip6Hdr* ip = at<Ip6Hdr>(packet.data());
  const bool to_group = ip->dst.multicast(), payload_length_given = ip->payload_length.host() != 0;
  // Without a payload length there is either a jumbo option, or the length is what is wrong.
  const Ip6ExtVerdict no_length = problem(0, offsetof(Ip6Hdr, payload_length));
  Ip6Chain chain(packet);
  Ip6ExtHeader h;
  if (!chain.next(h) || h.type != kProtoHopByHop)
    return payload_length_given ? problem(0, sizeof(Ip6Hdr) + 1) : no_length;

  Ip6OptionWalk walk(packet, h);
  Ip6Option o;
  for (unsigned n = 1; walk.next(o); ++n) {
    if (n > kMaxIp6Options) return kDrop;
    if (o.type == kIp6OptJumbo) return jumbo(packet, o, payload_length_given);
    if (o.type == kIp6OptRouterAlert) {
      if (o.length != 2) return problem(0, o.offset + 1);
    } else if (auto v = unknown_option(o, to_group)) {
      return *v;
    }
  }
  const Ip6ExtVerdict end = end_of_options(walk);
  if (end.act == Ip6ExtVerdict::Act::pass && !payload_length_given) return no_length;
  return end;
}

Ip6ExtVerdict check_destination_headers(ConstBytes packet) {
  const bool to_group = at<Ip6Hdr>(packet.data())->dst.multicast();
  constexpr unsigned kRoutingType = 2, kSegmentsLeft = 3;
  Ip6Chain chain(packet);
  Ip6ExtHeader h;
  while (chain.next(h)) {
    if (h.type == kProtoHopByHop && h.offset != sizeof(Ip6Hdr)) return problem(1, h.named_at);
    if (h.type == kProtoAh) return problem(1, h.named_at);
    if (h.type == kProtoRouting && packet[h.offset + kSegmentsLeft] != 0)
      return problem(0, h.offset + kRoutingType);
    if (h.type == kProtoDestOpts) {
      const Ip6ExtVerdict v = check_destination_options(packet, h, to_group);
      if (v.act != Ip6ExtVerdict::Act::pass) return v;
    }
    if (h.type == kProtoFragment && (chain.fragment()->offset() != 0 || chain.fragment()->more())) return {};
  }
  if (chain.end() == Ip6Chain::End::too_many) return kDrop;
  // The length octet of the header cut short, where there is one.
  if (chain.end() == Ip6Chain::End::truncated)
    return problem(0, chain.offset() + 1 < packet.size() ? chain.offset() + 1 : chain.named_at());
  return {};
}

}  // namespace sluice::wire
