// Any frame through the path's edges: parse, options, fragments, ICMP errors, resets. Input: two control
// bytes, then the frame, in a buffer that ends where it does. What must hold: both parsers agree; offsets
// stay inside; what is made is itself a packet that parse takes, within its limits; no mbuf is lost.
#include <rte_eal.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/fragment.h"
#include "path/icmp_error.h"
#include "path/ip4_options.h"
#include "path/ip6_options.h"
#include "path/parse.h"
#include "wire/icmp_build.h"

namespace {

using namespace sluice;
using namespace sluice::path;

void check(bool ok) {
  if (!ok) std::abort();
}

struct World {
  World() {
    auto p = PacketPool::create("fuzz", {.packets = 512, .cache = 0, .huge_pages = false});
    check(p.ok());
    pool = std::move(*p);
    const HashKey key{{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x082efa98ec4e6c89}};
    errors = std::make_unique<IcmpErrors>(key, pool->mempool());
    auto ifs = std::make_shared<Interfaces>();
    ifs->port.resize(1);
    Interface& i = ifs->port[0];
    i.mac = Mac{{2, 0, 0, 0, 0, 1}};
    i.addresses = {*parse_prefix("198.18.1.1/24"), *parse_prefix("2001:db8:1::1/64")};
    i.link_local = link_local_of(i.mac);
    s.interfaces = ifs;
  }
  const Interface& lan() const { return s.interfaces->port[0]; }

  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<IcmpErrors> errors;
  Snapshot s;
  Instant now;
};

// A mbuf around memory of its own, as long as the frame.
struct ExactMbuf {
  explicit ExactMbuf(wire::ConstBytes frame) : bytes(new uint8_t[frame.size()]), block(new Block{}) {
    std::ranges::copy(frame, bytes.get());
    block->m.buf_addr = bytes.get();
    block->m.buf_len = block->m.data_len = static_cast<uint16_t>(frame.size());
    block->m.pkt_len = block->m.data_len;
    block->m.priv_size = kMbufPrivate;
    block->m.nb_segs = 1;
  }
  operator rte_mbuf*() { return &block->m; }
  struct Block {
    rte_mbuf m;
    uint8_t priv[kMbufPrivate];
  };
  std::unique_ptr<uint8_t[]> bytes;
  std::unique_ptr<Block> block;
};

void check_meta(const rte_mbuf* m, const Meta& meta) {
  check(m->pkt_len == m->data_len);
  if (meta.family == 0) return;
  check(meta.l3 >= 14 && meta.l3 + meta.ip_length == m->data_len);
  check(meta.l4 > meta.l3 && meta.l4 <= m->data_len);
  check(meta.ip_length <= 1500);
  const bool first = meta.has(kMetaFragFirst), later = meta.has(kMetaFragLater);
  check(!(first && later) && later == (meta.frag_offset != 0));
  if (later) check(!meta.has(kMetaPortsValid) && !meta.has(kMetaL4Short));
  if (!meta.has(kMetaPortsValid))
    check(meta.sport == 0 && meta.dport == 0);
  else
    check(meta.l4 + 2 <= m->data_len);
}

// A packet made by the box: whole, and one that the next router takes.
void check_made(World& w, rte_mbuf* m, unsigned limit) {
  const Meta& made = stash(m);
  check(made.has(kMetaLocalOrigin) && made.l3 + made.ip_length == m->data_len && made.ip_length <= limit);
  wire::EthHdr* eth = wire::edit<wire::EthHdr>(bytes_of(m));
  eth->dst = w.lan().mac;
  eth->type = be16::from(made.ethertype);
  Meta parsed;
  check(parse(m, w.lan(), parsed) == DropReason::count_);
  check(parsed.proto == made.proto && parsed.l4 == made.l4 && parsed.sport == made.sport &&
        parsed.dport == made.dport);
  check(!parsed.fragment() && !parsed.has(kMetaL4Short));
  rte_pktmbuf_free(m);
}

void try_errors(World& w, const rte_mbuf* m, const Meta& meta) {
  const uint8_t types[][2] = {{3, 4}, {11, 0}, {12, 0}, {2, 0}, {4, 2}};
  for (const auto& t : types)
    if (rte_mbuf* e = w.errors->make(w.s, w.now, m, meta, t[0], t[1], 1400, 0))
      check_made(w, e, meta.family == 4 ? wire::kIcmp4ErrorMax : wire::kIcmp6ErrorMax);
  if (rte_mbuf* r = w.errors->make_tcp_reset(w.s, w.now, m, meta)) check_made(w, r, 60);
}

void try_fragments(World& w, rte_mbuf* m, const Meta& meta, uint16_t mtu) {
  rte_mbuf* out[256];
  const unsigned n = fragment4(m, meta, mtu, w.pool->mempool(), out, 256);
  const unsigned header = meta.l4 - unsigned{meta.l3};
  unsigned data = 0;
  for (unsigned i = 0; i < n; ++i) {
    Meta piece;
    check(out[i]->data_len <= 14 + mtu);
    check(parse(out[i], w.lan(), piece) == DropReason::count_);
    check(piece.frag_offset == meta.frag_offset + data);
    data += piece.ip_length - (piece.l4 - unsigned{piece.l3});
    rte_pktmbuf_free(out[i]);
  }
  if (n) check(data == meta.ip_length - header);
}

void right_checksum(wire::Bytes frame) {
  wire::Ip4Hdr* ip = wire::edit<wire::Ip4Hdr>(frame, 14);
  if (!ip || ip->header_length() > frame.size() - 14) return;
  ip->checksum = {};
  ip->checksum = wire::finish(wire::sum_bytes(frame.data() + 14, ip->header_length()));
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* args[] = {"fuzz", "--no-huge", "--no-shconf",    "-m",
                        "64",   "--no-pci",  "--no-telemetry", "--log-level=4"};
  return rte_eal_init(8, const_cast<char**>(args)) < 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World w;
  if (size < 2 || size > 2000) return 0;
  const uint8_t how = data[0];
  const uint16_t mtu = static_cast<uint16_t>(data[1] * 6);
  ExactMbuf m({data + 2, size - 2});
  if (how & 1) right_checksum(bytes_of(m));
  if (wire::EthHdr* eth = wire::edit<wire::EthHdr>(bytes_of(m)); eth && how & 2) eth->dst = w.lan().mac;
  ExactMbuf twin(wire::ConstBytes(bytes_of(m)));

  Meta meta, other;
  const DropReason r = parse(m, w.lan(), meta);
  check(r == parse_slow(twin, w.lan(), other));
  if (r != DropReason::count_) return 0;
  check(std::memcmp(&meta, &other, offsetof(Meta, egress)) == 0);
  check_meta(m, meta);
  if (meta.family == 0 || meta.has(kMetaVlan)) return 0;

  w.now = w.now + Duration::seconds(1);
  try_errors(w, m, meta);
  if (meta.family == 4) {
    if (meta.has(kMetaIpOptions)) {
      process_ip4_options(m, meta, w.lan(), w.lan().addresses[0].addr.v4(), w.now);
      check(wire::ip4_checksum_ok(bytes_of(m).data() + meta.l3, meta.l4 - unsigned{meta.l3}));
    }
    try_fragments(w, m, meta, mtu);
  } else {
    if (meta.has(kMetaIpOptions)) process_hop_by_hop(m, meta);
    check_local_ext_headers(m, meta);
  }
  check(w.pool->in_use() == 0);
  return 0;
}
