// The generator: the packet source and sink of the benchmarks. It must cost next to nothing: mbufs come in
// bulk, frames from a template with a few words patched (generator_template.h), and only the fields of the
// mbuf that a freed one may hold otherwise are written.
//
// Several queues share the flows by number, so that a flow keeps to its queue.
#include <algorithm>

#include "packet/buf.h"
#include "port/generator_template.h"
#include "port/open.h"
#include "port/sink.h"

namespace sluice::port {

namespace {

constexpr uint64_t kMaxFlows = 10'000'000;
constexpr unsigned kImix[] = {60, 590, 1514};
constexpr uint8_t kImixOrder[] = {0, 1, 0, 0, 2, 0, 1, 0, 0, 1, 0, 1};  // 7:4:1, mixed

struct alignas(64) Source {
  uint64_t random;    // state of the generator (wyrand: an odd step and a folded product)
  uint64_t flows;     // of this queue
  uint64_t next = 0;  // sequential: the next of them
  uint64_t left;      // packets still to come
  unsigned imix = 0;
  Counter made, no_mbuf;
  std::atomic<bool> done{false};
};

inline uint64_t draw(uint64_t& state) {
  state += 0xa0761d6478bd642full;
  unsigned __int128 p = static_cast<unsigned __int128>(state) * (state ^ 0xe7037ed1a0b428dbull);
  return static_cast<uint64_t>(p) ^ static_cast<uint64_t>(p >> 64);
}

class Generator final : public Port {
 public:
  Generator(const Options& o, PacketPool& pool);

  unsigned rx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override {
    return (this->*make_)(queue, pkts, n);
  }
  unsigned tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override {
    sinks_[queue].take(pkts, n);
    return n;
  }
  Instant next_event() const override { return exhausted() ? Instant::never() : Instant{}; }
  bool exhausted() const override {
    return std::all_of(sources_.begin(), sources_.end(),
                       [](const Source& s) { return s.done.load(std::memory_order_relaxed); });
  }
  const Info& info() const override { return info_; }
  Stats stats() const override;
  Status start() override { return {}; }
  void stop() override {}
  bool link_up() const override { return true; }

 private:
  template <bool kSix, bool kTcp>
  unsigned make(unsigned queue, rte_mbuf** pkts, unsigned n);
  const FrameTemplate& pick(Source& s) {
    if (templates_.size() == 1) [[likely]]
      return templates_[0];
    s.imix = s.imix + 1 == std::size(kImixOrder) ? 0 : s.imix + 1;
    return templates_[kImixOrder[s.imix]];
  }

  rte_mempool* pool_;
  uint16_t index_;
  GeneratorOptions g_;
  Info info_;
  FlowSpace space_;
  std::vector<FrameTemplate> templates_;
  std::vector<Source> sources_;
  std::vector<Sink> sinks_;
  unsigned (Generator::*make_)(unsigned, rte_mbuf**, unsigned);
};

Generator::Generator(const Options& o, PacketPool& pool)
    : pool_(pool.mempool()), index_(o.index), g_(o.generator), sources_(o.queues), sinks_(o.queues) {
  info_.name = o.name;
  info_.driver = "generator";
  info_.device = o.device;
  info_.mode = std::to_string(g_.flows) + (g_.random ? " flows at random" : " flows in turn");
  info_.reason = "driver: generator";
  info_.mac = software_mac(o);
  info_.mtu = o.mtu.value_or(1500);
  info_.rx_queues = info_.tx_queues = o.queues;
  info_.symmetric_rss = true;
  space_ = FlowSpace::of(g_.sources, g_.destinations);
  if (g_.size == 0) {
    const unsigned least = FrameTemplate::smallest(g_.ip6, g_.proto);
    for (unsigned size : kImix)
      templates_.push_back(FrameTemplate::build(g_, std::max(size, least), info_.mac));
  } else {
    templates_.push_back(FrameTemplate::build(g_, g_.size, info_.mac));
  }
  for (unsigned q = 0; q < o.queues; q++) {
    Source& s = sources_[q];
    s.random = g_.seed + q * 0x9e3779b97f4a7c15ull;
    s.flows = g_.flows / o.queues + (q < g_.flows % o.queues);
    s.left = g_.packets == 0 ? UINT64_MAX : g_.packets / o.queues + (q < g_.packets % o.queues);
    if (s.flows == 0) s.left = 0;
    s.done = s.left == 0;
  }
  if (g_.ip6)
    make_ = g_.proto == wire::kProtoTcp ? &Generator::make<true, true> : &Generator::make<true, false>;
  else
    make_ = g_.proto == wire::kProtoTcp ? &Generator::make<false, true> : &Generator::make<false, false>;
}

template <bool kSix, bool kTcp>
unsigned Generator::make(unsigned queue, rte_mbuf** pkts, unsigned n) {
  Source& s = sources_[queue];
  n = static_cast<unsigned>(std::min<uint64_t>(std::min(n, g_.burst), s.left));
  if (n == 0) return 0;
  if (rte_mempool_get_bulk(pool_, reinterpret_cast<void**>(pkts), n) != 0) [[unlikely]] {
    s.no_mbuf.add(n);
    return 0;
  }
  const uint64_t stride = sources_.size();
  uint64_t random = s.random, next = s.next;
  for (unsigned i = 0; i < n; i++) {
    uint64_t f;
    if (g_.random) {
      f = (draw(random) >> 32) * s.flows >> 32;
    } else {
      f = next;
      next = next + 1 == s.flows ? 0 : next + 1;
    }
    const FrameTemplate& t = pick(s);
    rte_mbuf* m = pkts[i];
    // A mbuf in its pool has one reference, one segment and no successor (rte_mbuf_raw_free).
    m->data_off = RTE_PKTMBUF_HEADROOM;
    m->port = index_;
    m->ol_flags = 0;
    m->packet_type = 0;
    m->pkt_len = t.size();
    m->data_len = static_cast<uint16_t>(t.size());
    t.write<kSix, kTcp>(bytes_of(m).data(), space_.flow<kSix>(f * stride + queue));
  }
  s.random = random;
  s.next = next;
  s.made.add(n);
  s.left -= n;
  if (s.left == 0) s.done.store(true, std::memory_order_relaxed);
  return n;
}

Stats Generator::stats() const {
  Stats st;
  st.link_up = true;
  uint64_t made = 0;
  for (const Source& s : sources_) {
    made += s.made.get();
    st.no_mbuf += s.no_mbuf.get();
  }
  st.extended = {{"made", made}, {"sunk", sunk(sinks_)}};
  return st;
}

Status check(const Options& o, const PacketPool& pool) {
  const GeneratorOptions& g = o.generator;
  const std::string who = "port " + o.name + ": the generator ";
  const unsigned least = FrameTemplate::smallest(g.ip6, g.proto);
  const unsigned most = std::min<unsigned>(
      FrameTemplate::kLargest, (rte_pktmbuf_data_room_size(pool.mempool()) - RTE_PKTMBUF_HEADROOM) & ~63u);
  if (g.flows < 1 || g.flows > kMaxFlows)
    return Error{who + "makes 1 to 10,000,000 flows, not " + std::to_string(g.flows)};
  if (g.size != 0 && (g.size < least || g.size > most))
    return Error{who + "makes frames of " + std::to_string(least) + " to " + std::to_string(most) +
                 " bytes here (or size 0 for IMIX), not " + std::to_string(g.size)};
  if (g.burst < 1 || g.burst > kMaxBurst)
    return Error{who + "returns bursts of 1 to " + std::to_string(kMaxBurst) + ", not " +
                 std::to_string(g.burst)};
  if (g.proto != wire::kProtoUdp && g.proto != wire::kProtoTcp)
    return Error{who + "makes UDP (17) or TCP (6), not protocol " + std::to_string(g.proto)};
  const unsigned family = g.ip6 ? 6 : 4;
  for (const Prefix* p : {&g.sources, &g.destinations})
    if (p->addr.family != 0 && p->addr.family != family)
      return Error{who + "has a prefix of the other address family: " + to_string(*p)};
  return {};
}

}  // namespace

Result<std::unique_ptr<Port>> open_generator(const Options& given, PacketPool& pool) {
  if (Status s = check(given, pool); !s) return Error{s.error()};
  Options o = given;
  // RFC 2544's range, and RFC 5180's.
  auto fill = [](Prefix& p, const char* text) {
    if (p.addr.none()) p = *parse_prefix(text);
  };
  fill(o.generator.sources, o.generator.ip6 ? "2001:2:0:1::/64" : "198.18.0.0/16");
  fill(o.generator.destinations, o.generator.ip6 ? "2001:2:0:2::/64" : "198.19.0.0/16");
  return std::unique_ptr<Port>(std::make_unique<Generator>(o, pool));
}

}  // namespace sluice::port
