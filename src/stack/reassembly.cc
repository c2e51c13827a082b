#include "stack/reassembly.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "wire/checksum.h"
#include "wire/ip6_ext.h"

namespace sluice::stack {

using wire::Ip4Hdr;
using wire::Ip6Hdr;

namespace {

constexpr unsigned kLargest = 65535;  // of an IPv4 packet, and of an IPv6 payload
constexpr uint8_t kParameterProblem = 4;

// Source, destination, protocol (IPv4) and identification name a datagram. Never 0.
uint64_t hash_of(const HashKey& key, const Datagram& d, const Fragment& f) {
  const Ip6 s = d.src.v6(), to = d.dst.v6();
  const uint64_t proto = d.family() == 4 ? f.proto : 0;
  const uint64_t words[] = {s.hi(), s.lo(), to.hi(), to.lo(), proto << 40 | uint64_t{d.family()} << 32 | f.id};
  return hash_words(key, words, 5) | 1;
}

// RFC 7112: the first fragment holds all headers, the upper-layer one included. Of protocols that the box
// does not speak no more than the chain is asked.
bool headers_complete(wire::ConstBytes packet) {
  wire::Ip6Chain chain(packet);
  wire::Ip6ExtHeader h;
  while (chain.next(h)) {}
  if (chain.end() != wire::Ip6Chain::End::upper) return false;
  const size_t left = packet.size() - chain.offset();
  switch (chain.proto()) {
    case wire::kProtoTcp: return left >= sizeof(wire::TcpHdr);
    case wire::kProtoUdp: return left >= sizeof(wire::UdpHdr);
    case wire::kProtoIcmp6: return left >= sizeof(wire::IcmpHdr);
    default: return true;
  }
}

}  // namespace

void Reassembly::Unmap::operator()(uint8_t* p) const { munmap(p, size); }

Reassembly::Reassembly(Core& core)
    : key_(core.config.key),
      core_(core),
      item_(std::max(core.config.reassembly_datagrams, 1u)),
      covered_(new Bits[item_.size()]),
      starts_(new Bits[item_.size()]) {
  const size_t size = item_.size() * kBuffer;
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  memory_ = {static_cast<uint8_t*>(p), Unmap{size}};
  for (auto i = static_cast<uint32_t>(item_.size()); i-- > 0;) free_.push_back(i);
}

Reassembly::~Reassembly() {
  for (Item& i : item_)
    if (i.m) {
      core_.account.row(i.m->port).drop(DropReason::shutdown);
      rte_pktmbuf_free(i.m);
    }
}

bool Reassembly::add(Turn& t, Datagram& d, const Fragment& f, Datagram& whole) {
  if (!sane(t, d, f)) return false;
  const uint64_t hash = hash_of(key_, d, f);
  uint32_t i = find(d, f, hash);
  if (i != kNone && item_[i].deadline <= t.now) {
    give_up(t, i, DropReason::reassembly_timeout, true);
    i = kNone;
  }
  if (i == kNone) i = start(t, d, f, hash);
  Item& item = item_[i];
  if (item.poisoned) return t.drop(d.m, DropReason::reassembly_overlap), false;

  const wire::Bytes data = d.payload();
  const auto end = static_cast<uint32_t>(f.offset + data.size());
  const bool contradicts = item.total != 0 && (f.more ? end >= item.total : end != item.total);
  switch (contradicts ? Fit::overlap : fit(i, f, data)) {
    case Fit::duplicate: return t.consume(d.m), false;
    case Fit::overlap: return poison(t, i, d.m), false;
    case Fit::fresh: break;
  }
  store(t, i, d, f);
  if (item.total == 0 || item.stored != item.total || !item.first) return false;
  finish(t, i, whole);
  return true;
}

// What can be said of a fragment alone.
bool Reassembly::sane(Turn& t, Datagram& d, const Fragment& f) {
  const size_t n = d.packet.size() - d.l4;
  const bool v6 = d.family() == 6;
  // A group may be told nothing (RFC 4443 2.4 (e)).
  auto problem = [&](uint8_t code, unsigned pointer) {
    if (v6 && !d.group) t.refuse(d.m, kParameterProblem, code, pointer, DropReason::fragment_invalid);
    else t.drop(d.m, DropReason::fragment_invalid);
    return false;
  };
  if (f.more && n % 8 != 0) return problem(0, offsetof(Ip6Hdr, payload_length));
  const unsigned in_front = v6 ? f.header_at - static_cast<unsigned>(sizeof(Ip6Hdr)) : d.l4;
  if (in_front + f.offset + n > kLargest) return problem(0, f.header_at + 2);
  if (n == 0 || (v6 ? f.header_at : d.l4) > kHeaders) {
    t.drop(d.m, DropReason::fragment_invalid);
    return false;
  }
  constexpr uint8_t kIncompleteHeaders = 3;
  if (v6 && f.offset == 0 && !headers_complete(d.packet)) return problem(kIncompleteHeaders, 0);
  return true;
}

uint32_t Reassembly::find(const Datagram& d, const Fragment& f, uint64_t hash) const {
  for (uint32_t i = newest_; i != kNone; i = item_[i].older) {
    const Item& item = item_[i];
    if (item.hash == hash && item.id == f.id && item.src == d.src && item.dst == d.dst &&
        (d.family() == 6 || item.proto == f.proto))
      return i;
  }
  return kNone;
}

uint32_t Reassembly::start(Turn& t, const Datagram& d, const Fragment& f, uint64_t hash) {
  unsigned of_source = 0;
  uint32_t oldest_of_source = kNone;
  for (uint32_t i = newest_; i != kNone; i = item_[i].older) {
    if (!(item_[i].src == d.src)) continue;
    of_source++;
    oldest_of_source = i;
  }
  if (of_source >= std::max(core_.config.reassembly_per_source, 1u))
    give_up(t, oldest_of_source, DropReason::reassembly_full, false);
  else if (free_.empty())
    give_up(t, oldest_, DropReason::reassembly_full, false);
  const uint32_t i = free_.back();
  free_.pop_back();
  covered_[i] = {};
  starts_[i] = {};
  Item& item = item_[i];
  item = Item{};
  item.hash = hash;
  item.src = d.src;
  item.dst = d.dst;
  item.id = f.id;
  item.proto = f.proto;
  item.deadline = t.now + t.ifs.reassembly_timeout;
  item.older = newest_;
  (newest_ == kNone ? oldest_ : item_[newest_].newer) = i;
  newest_ = i;
  return i;
}

Reassembly::Fit Reassembly::fit(uint32_t i, const Fragment& f, wire::ConstBytes data) const {
  const Item& item = item_[i];
  const unsigned from = f.offset / 8, to = static_cast<unsigned>(f.offset + data.size() + 7) / 8;
  unsigned known = 0, begun = 0;
  for (unsigned u = from; u < to; u++) {
    known += covered_[i].test(u);
    begun += starts_[i].test(u);
  }
  if (known == 0) {
    // Data behind what was said to be the last fragment was ruled out; a last one in front of data is an overlap.
    if (!f.more)
      for (unsigned u = to; u < kUnits; u++)
        if (covered_[i].test(u)) return Fit::overlap;
    return Fit::fresh;
  }
  const bool same_start = starts_[i].test(from) && begun == 1;
  const bool same_end = f.more ? to == kUnits || !covered_[i].test(to) || starts_[i].test(to) : item.total != 0;
  const bool same = known == to - from && same_start && same_end &&
                    std::memcmp(payload(i) + f.offset, data.data(), data.size()) == 0;
  return same ? Fit::duplicate : Fit::overlap;
}

void Reassembly::store(Turn& t, uint32_t i, Datagram& d, const Fragment& f) {
  Item& item = item_[i];
  const wire::Bytes data = d.payload();
  std::memcpy(payload(i) + f.offset, data.data(), data.size());
  const unsigned from = f.offset / 8, to = static_cast<unsigned>(f.offset + data.size() + 7) / 8;
  for (unsigned u = from; u < to; u++) covered_[i].set(u);
  starts_[i].set(from);
  item.stored += static_cast<uint32_t>(data.size());
  if (!f.more) item.total = static_cast<uint32_t>(f.offset + data.size());
  if (f.offset == 0) {
    item.first = true;
    item.proto = f.proto;
    item.proto_at = f.named_at;
    item.headers = d.family() == 4 ? d.l4 : f.header_at;
    item.traffic_class = d.traffic_class;
    item.hop_limit = d.hop_limit;
    std::memcpy(payload(i) - item.headers, d.packet.data(), item.headers);
  }
  keep(t, item, d.m, f.offset == 0);
}

void Reassembly::keep(Turn& t, Item& item, rte_mbuf* m, bool first) {
  if (item.m && !first) return t.consume(m);
  if (item.m) t.consume(item.m);
  else held_++;
  item.m = m;
}

void Reassembly::poison(Turn& t, uint32_t i, rte_mbuf* m) {
  Item& item = item_[i];
  item.poisoned = true;
  t.drop(m, DropReason::reassembly_overlap);
  if (!item.m) return;
  t.drop(item.m, DropReason::reassembly_overlap);
  item.m = nullptr;
  held_--;
}

// Makes the headers those of a whole packet, and hands it out.
void Reassembly::finish(Turn& t, uint32_t i, Datagram& whole) {
  Item& item = item_[i];
  (void)t;
  uint8_t* p = payload(i) - item.headers;
  const size_t length = item.headers + item.total;
  if (item.src.family == 4) {
    Ip4Hdr* ip = wire::at<Ip4Hdr>(p);
    ip->total_length = be16::from(static_cast<uint16_t>(length));
    ip->frag = {};
    ip->checksum = {};
    ip->checksum = wire::finish(wire::sum_bytes(p, item.headers));
  } else {
    wire::at<Ip6Hdr>(p)->payload_length = be16::from(static_cast<uint16_t>(length - sizeof(Ip6Hdr)));
    p[item.proto_at] = item.proto;
  }
  whole.m = item.m;
  whole.packet = {p, length};
  whole.l4 = item.headers;
  whole.proto = item.proto;
  whole.proto_at = item.src.family == 4 ? static_cast<unsigned>(offsetof(Ip4Hdr, proto)) : item.proto_at;
  whole.traffic_class = item.traffic_class;
  whole.hop_limit = item.hop_limit;
  whole.fragment_header = true;
  whole.reassembled = true;
  item.m = nullptr;
  held_--;
  finished_ = i;
}

void Reassembly::release() {
  if (finished_ != kNone) free_item(std::exchange(finished_, kNone));
}

// `tell`: the time is up, and the source is to know if its first fragment was there (RFC 792, RFC 8200 4.5).
void Reassembly::give_up(Turn& t, uint32_t i, DropReason why, bool tell) {
  Item& item = item_[i];
  if (item.m) {
    const bool v4 = item.src.family == 4;
    const bool group = item.dst.family == 6 && item.dst.v6().multicast();
    if (tell && item.first && !group) t.refuse(item.m, v4 ? 11 : 3, 1, 0, why);
    else t.drop(item.m, why);
    item.m = nullptr;
    held_--;
  }
  free_item(i);
}

void Reassembly::free_item(uint32_t i) {
  Item& item = item_[i];
  (item.older == kNone ? oldest_ : item_[item.older].newer) = item.newer;
  (item.newer == kNone ? newest_ : item_[item.newer].older) = item.older;
  item.hash = 0;
  free_.push_back(i);
}

// All have the same time-out, but for a change of the configuration: the oldest is due first, or soon after.
void Reassembly::tick(Turn& t) {
  while (oldest_ != kNone && item_[oldest_].deadline <= t.now)
    give_up(t, oldest_, DropReason::reassembly_timeout, true);
}

Instant Reassembly::next_deadline() const {
  return oldest_ == kNone ? Instant::never() : item_[oldest_].deadline;
}

}  // namespace sluice::stack
