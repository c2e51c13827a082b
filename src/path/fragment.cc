#include "path/fragment.h"

#include <algorithm>
#include <array>

#include "packet/buf.h"
#include "wire/checksum.h"
#include "wire/ip4_options.h"

namespace sluice::path {

namespace {

constexpr uint16_t kMoreFragments = 0x2000, kOffsetMask = 0x1fff;

// The header of all fragments but the first: options without the copy flag are left out (RFC 791 3.1).
struct LaterHeader {
  std::array<uint8_t, 60> bytes;
  unsigned length = sizeof(wire::Ip4Hdr);

  explicit LaterHeader(wire::ConstBytes header) {
    std::copy_n(header.data(), length, bytes.data());
    wire::Ip4OptionWalk walk(header);
    for (wire::Ip4Option o; walk.next(o);) {
      if (!(o.type & wire::kIp4OptCopied)) continue;
      std::copy_n(header.data() + o.offset, o.length, bytes.data() + length);
      length += o.length;
    }
    while (length % 4 != 0) bytes[length++] = wire::kIp4OptEnd;
    wire::at<wire::Ip4Hdr>(bytes.data())->version_ihl = static_cast<uint8_t>(0x40 | length / 4);
  }
};

rte_mbuf* make_fragment(rte_mempool* pool, wire::ConstBytes ethernet, wire::ConstBytes header,
                        wire::ConstBytes data, uint16_t frag) {
  rte_mbuf* m = rte_pktmbuf_alloc(pool);
  if (!m) return nullptr;
  const size_t total = header.size() + data.size();
  char* to = rte_pktmbuf_append(m, static_cast<uint16_t>(ethernet.size() + total));
  if (!to) {
    rte_pktmbuf_free(m);
    return nullptr;
  }
  uint8_t* p = rte_pktmbuf_mtod(m, uint8_t*);
  std::copy(ethernet.begin(), ethernet.end(), p);
  uint8_t* ip = std::copy(header.begin(), header.end(), p + ethernet.size()) - header.size();
  std::copy(data.begin(), data.end(), ip + header.size());
  wire::Ip4Hdr* h = wire::at<wire::Ip4Hdr>(ip);
  h->total_length = be16::from(static_cast<uint16_t>(total));
  h->frag = be16::from(frag);
  h->checksum = {};
  h->checksum = wire::finish(wire::sum_bytes(ip, header.size()));
  return m;
}

}  // namespace

unsigned fragment4(rte_mbuf* m, const Meta& meta, uint16_t mtu, rte_mempool* pool, rte_mbuf** out,
                   unsigned room) {
  const wire::ConstBytes ethernet =
      wire::ConstBytes(bytes_of(m)).subspan(meta.l3 - sizeof(wire::EthHdr), sizeof(wire::EthHdr));
  const wire::ConstBytes packet = wire::ConstBytes(bytes_of(m)).subspan(meta.l3, meta.ip_length);
  const wire::Ip4Hdr* ip = wire::at<wire::Ip4Hdr>(packet.data());
  wire::ConstBytes header = packet.first(ip->header_length());
  wire::ConstBytes data = packet.subspan(header.size());
  if (mtu < header.size() + 8) return 0;
  const LaterHeader later(header);

  const uint16_t more_after = ip->frag.host() & kMoreFragments;
  unsigned offset8 = ip->frag.host() & kOffsetMask;
  unsigned n = 0;
  do {
    const size_t fits = mtu - header.size();
    const bool last = data.size() <= fits;
    const size_t take = last ? data.size() : fits & ~size_t{7};
    const unsigned frag = offset8 | (last ? more_after : kMoreFragments);
    rte_mbuf* piece = nullptr;
    // An offset above the field's would run over into the flags: the datagram was longer than IP allows.
    if (n < room && offset8 <= kOffsetMask)
      piece = make_fragment(pool, ethernet, header, data.first(take), static_cast<uint16_t>(frag));
    if (!piece) {
      rte_pktmbuf_free_bulk(out, n);
      return 0;
    }
    out[n++] = piece;
    data = data.subspan(take);
    offset8 += static_cast<unsigned>(take / 8);
    header = {later.bytes.data(), later.length};
  } while (!data.empty());
  return n;
}

}  // namespace sluice::path
