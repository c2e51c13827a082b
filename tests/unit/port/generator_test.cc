#include <map>
#include <set>

#include "port/generator_template.h"
#include "port_fixture.h"
#include "wire/checksum.h"

namespace sluice::port::test {

namespace {

class Generated : public PortTest {
 protected:
  Options options() {
    Options o;
    o.name = "gen";
    o.index = 1;
    o.driver = Driver::generator;
    o.generator.to = *parse_mac("02:00:00:00:00:99");
    return o;
  }
};

// A frame as a receiver would check it; returns addresses and ports.
std::string checked(const Bytes& b) {
  auto* eth = wire::peek<wire::EthHdr>(b);
  EXPECT_EQ(eth->dst, *parse_mac("02:00:00:00:00:99"));
  uint64_t pseudo;
  size_t l4;
  uint8_t proto;
  std::string tuple;
  if (eth->type.host() == wire::kEthIp4) {
    auto* ip4 = wire::peek<wire::Ip4Hdr>(b, 14);
    EXPECT_TRUE(wire::ip4_checksum_ok(b.data() + 14, 20));
    EXPECT_EQ(ip4->total_length.host(), b.size() - 14);
    l4 = 34, proto = ip4->proto;
    pseudo = wire::pseudo_sum(ip4->src, ip4->dst, proto, static_cast<uint32_t>(b.size() - l4));
    tuple = to_string(ip4->src) + " " + to_string(ip4->dst);
  } else {
    auto* ip6 = wire::peek<wire::Ip6Hdr>(b, 14);
    EXPECT_EQ(ip6->version(), 6u);
    EXPECT_EQ(ip6->payload_length.host(), b.size() - 54);
    l4 = 54, proto = ip6->next_header;
    pseudo = wire::pseudo_sum(ip6->src, ip6->dst, proto, static_cast<uint32_t>(b.size() - l4));
    tuple = to_string(ip6->src) + " " + to_string(ip6->dst);
  }
  EXPECT_EQ(wire::fold16(wire::add_sums(pseudo, wire::sum_bytes(b.data() + l4, b.size() - l4))), 0xffff);
  auto* udp = wire::peek<wire::UdpHdr>(b, l4);
  if (proto == 17) {
    EXPECT_EQ(udp->length.host(), b.size() - l4);
    EXPECT_NE(udp->checksum.raw(), 0);
  }
  return tuple + " " + std::to_string(udp->sport.host()) + " " + std::to_string(udp->dport.host());
}

TEST_F(Generated, frames_are_right_for_all_kinds) {
  for (bool six : {false, true})
    for (uint8_t proto : {uint8_t{6}, uint8_t{17}})
      for (unsigned size : {75u, 128u, 1514u}) {
        Options o = options();
        o.generator.ip6 = six;
        o.generator.proto = proto;
        o.generator.size = size;
        o.generator.flows = 500;
        o.generator.packets = 500;
        open_port(o);
        std::set<std::string> seen;
        for (auto& b : receive({})) {
          EXPECT_EQ(b.size(), size);
          seen.insert(checked(b));
        }
        EXPECT_EQ(seen.size(), 500u) << "in turn, every flow comes once";
        EXPECT_TRUE(port->exhausted());
      }
}

// One flow in 65,536 sums to zero, which UDP sends as 0xffff.
TEST_F(Generated, udp_checksums_are_never_left_out) {
  GeneratorOptions g;
  g.to = *parse_mac("02:00:00:00:00:99");
  const FrameTemplate t = FrameTemplate::build(g, 60, {});
  const FlowSpace s = FlowSpace::of(*parse_prefix("10.0.0.0/8"), *parse_prefix("11.0.0.0/8"));
  Bytes b(FrameTemplate::kLargest);
  unsigned all_ones = 0;
  for (uint64_t i = 0; i < 300'000; i++) {
    t.write<false, false>(b.data(), s.flow<false>(i));
    const uint16_t sum = wire::peek<wire::UdpHdr>(b, 34)->checksum.raw();
    ASSERT_NE(sum, 0) << i;
    all_ones += sum == 0xffff;
  }
  EXPECT_GT(all_ones, 0u);
}

TEST_F(Generated, flows_stay_distinct_in_the_narrowest_prefixes) {
  FlowSpace s = FlowSpace::of(*parse_prefix("192.0.2.1/32"), *parse_prefix("192.0.2.2/32"));
  std::vector<bool> seen(1u << 24);
  for (uint64_t i = 0; i < 10'000'000; i++) {
    auto t = s.flow<false>(i);
    ASSERT_EQ(t.src[0], parse_ip4("192.0.2.1")->v.raw());
    const unsigned sport = be16::from_raw(static_cast<uint16_t>(t.ports)).host(),
                   dport = be16::from_raw(static_cast<uint16_t>(t.ports >> 16)).host();
    const unsigned key = (sport & 0x3fff) | (dport & 0x3ff) << 14;
    ASSERT_FALSE(seen[key]) << i;
    seen[key] = true;
  }
}

TEST_F(Generated, addresses_lie_in_their_prefixes_and_spread) {
  for (const char* text : {"10.0.0.0/8", "198.18.7.0/24", "0.0.0.0/0", "2001:db8::/32", "2001:db8:0:1::/64",
                           "2001:db8::ff00/120"}) {
    Prefix p = *parse_prefix(text);
    Prefix other = *parse_prefix(p.addr.family == 4 ? "203.0.113.0/24" : "2001:db8:9::/48");
    FlowSpace s = FlowSpace::of(other, p);
    std::set<std::string> seen;
    for (uint64_t i = 0; i < 20000; i++) {
      IpAddr a;
      if (p.addr.family == 4) {
        auto t = s.flow<false>(i);
        a = Ip4{be32::from_raw(static_cast<uint32_t>(t.dst[0]))};
        EXPECT_TRUE(other.contains(Ip4{be32::from_raw(static_cast<uint32_t>(t.src[0]))}));
      } else {
        auto t = s.flow<true>(i);
        Ip6 d, src;
        std::memcpy(d.b.data(), t.dst, 16);
        std::memcpy(src.b.data(), t.src, 16);
        a = d;
        EXPECT_TRUE(other.contains(src));
      }
      ASSERT_TRUE(p.contains(a)) << to_string(a);
      seen.insert(to_string(a));
    }
    const unsigned host_bits = p.addr.bits() - p.len;
    if (host_bits <= 8)
      EXPECT_EQ(seen.size(), 1u << host_bits) << text;
    else
      EXPECT_GT(seen.size(), 19000u) << text;
  }
}

TEST_F(Generated, random_order_repeats_with_its_seed_and_reaches_every_flow) {
  auto run = [&](uint64_t seed) {
    Options o = options();
    o.generator.random = true;
    o.generator.flows = 100;
    o.generator.packets = 2000;
    o.generator.seed = seed;
    open_port(o);
    return receive({});
  };
  auto a = run(1), b = run(1), c = run(2);
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_EQ(std::set<Bytes>(a.begin(), a.end()).size(), 100u);
}

TEST_F(Generated, imix_has_its_shares) {
  Options o = options();
  o.generator.size = 0;
  o.generator.packets = 1200;
  open_port(o);
  std::map<size_t, unsigned> sizes;
  for (auto& b : receive({})) {
    sizes[b.size()]++;
    checked(b);
  }
  EXPECT_EQ(sizes, (std::map<size_t, unsigned>{{60, 700}, {590, 400}, {1514, 100}}));
}

TEST_F(Generated, bursts_have_the_size_asked_for) {
  Options o = options();
  o.generator.burst = 4;
  open_port(o);
  rte_mbuf* pkts[kMaxBurst];
  EXPECT_EQ(port->rx_burst(0, {}, pkts, 32), 4u);
  EXPECT_EQ(pkts[0]->port, 1);
  EXPECT_EQ(port->tx_burst(0, {}, pkts, 4), 4u);
  EXPECT_EQ(port->rx_burst(0, {}, pkts, 3), 3u);
  rte_mbuf* copy = rte_pktmbuf_clone(pkts[0], pool->mempool());
  EXPECT_EQ(port->tx_burst(0, {}, pkts, 3), 3u) << "a shared mbuf is freed like any other";
  EXPECT_EQ(pool->in_use(), 2u) << "the clone holds its data";
  EXPECT_EQ(port->tx_burst(0, {}, &copy, 1), 1u);
  EXPECT_EQ(extended("sunk"), 8u);
  EXPECT_EQ(extended("made"), 7u);
}

TEST_F(Generated, queues_share_the_flows) {
  Options o = options();
  o.queues = 3;
  o.generator.flows = 10;
  o.generator.packets = 100;
  open_port(o);
  std::set<std::string> all;
  size_t packets = 0, per_queue = 0;
  for (unsigned q = 0; q < 3; q++) {
    std::set<std::string> mine;
    for (auto& b : receive({}, q)) mine.insert(checked(b)), packets++;
    per_queue += mine.size();
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(packets, 100u);
  EXPECT_EQ(all.size(), 10u);
  EXPECT_EQ(per_queue, 10u) << "a flow keeps to its queue";
}

TEST_F(Generated, refuses_what_it_cannot_make) {
  auto with = [&](auto change) {
    Options o = options();
    change(o);
    return open_error(o);
  };
  EXPECT_TRUE(says(with([](Options& o) { o.generator.flows = 0; }), "flows"));
  EXPECT_TRUE(says(with([](Options& o) { o.generator.flows = 10'000'001; }), "flows"));
  EXPECT_TRUE(says(with([](Options& o) { o.generator.size = 41; }), "42"));
  EXPECT_TRUE(says(with([](Options& o) { o.generator.size = 9000; }), "bytes"));
  EXPECT_TRUE(says(with([](Options& o) { o.generator.burst = 65; }), "burst"));
  EXPECT_TRUE(says(with([](Options& o) { o.generator.proto = 1; }), "protocol 1"));
  EXPECT_TRUE(says(with([](Options& o) {
                     o.generator.ip6 = true, o.generator.size = 62,
                     o.generator.sources = *parse_prefix("10.0.0.0/8");
                   }),
                   "family"));
}

TEST_F(Generated, null_port_sinks) {
  Options o;
  o.driver = Driver::null;
  open_port(o);
  rte_mbuf* m[2] = {mbuf(ethernet(60, 1)), mbuf(ethernet(60, 1))};
  EXPECT_EQ(port->tx_burst(0, {}, m, 2), 2u);
  EXPECT_EQ(port->rx_burst(0, {}, m, 2), 0u);
  EXPECT_EQ(extended("sunk"), 2u);
}

}  // namespace
}  // namespace sluice::port::test
