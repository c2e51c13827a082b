#include "path/rewrite.h"

namespace sluice::path {

void repair_checksum(rte_mbuf* m, const Meta& meta) {
  if (meta.fragment() || !meta.has(kMetaPortsValid)) return;  // the kernel completes a sum before it fragments
  size_t field = meta.l4;
  if (meta.proto == wire::kProtoTcp) field += offsetof(wire::TcpHdr, checksum);
  else if (meta.proto == wire::kProtoUdp) field += offsetof(wire::UdpHdr, checksum);
  else return;

  const wire::Bytes b = bytes_of(m);
  be16* checksum = wire::edit<be16>(b, field);
  if (!checksum || meta.l3 + meta.ip_length < meta.l4) return;
  const uint32_t l4_length = static_cast<uint32_t>(meta.l3 + meta.ip_length - meta.l4);
  const uint8_t* l3 = b.data() + meta.l3;
  uint64_t pseudo;
  if (meta.family == 4) {
    const auto* ip = wire::at<wire::Ip4Hdr>(l3);
    pseudo = wire::pseudo_sum(ip->src, ip->dst, meta.proto, l4_length);
  } else {
    const auto* ip = wire::at<wire::Ip6Hdr>(l3);
    pseudo = wire::pseudo_sum(ip->src, ip->dst, meta.proto, l4_length);
  }
  if (wire::fold16(pseudo) != checksum->raw()) return;
  // The field itself holds the pseudo header's sum, so the sum over the segment is the sum over both.
  be16 full = wire::finish(wire::sum_bytes(b.data() + meta.l4, l4_length));
  if (meta.proto == wire::kProtoUdp && full.raw() == 0) full = be16::from_raw(0xffff);  // RFC 768: 0 means none
  *checksum = full;
  m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;  // nobody needs to sum it again
}

}  // namespace sluice::path
