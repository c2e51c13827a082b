// Real traffic, malformed and odd among it, through the path's edges. The captures are not part of the
// repository: $SLUICE_PCAPS, or ../shared/pcaps beside the checkout; where there is neither the test says so
// and is skipped.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "packet/buf.h"
#include "packet/pool.h"
#include "path/fragment.h"
#include "path/icmp_error.h"
#include "path/ip4_options.h"
#include "path/ip6_options.h"
#include "path/parse.h"
#include "port/pcap_reader.h"
#include "tests/unit/frames.h"

namespace sluice::path {
namespace {

using namespace sluice::test;

class Captures : public ::testing::Test {
 protected:
  void SetUp() override {
    auto p = PacketPool::create("captures", {.packets = 256, .cache = 0, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    pool_ = std::move(*p);
    errors_ = std::make_unique<IcmpErrors>(HashKey{{1ull << 60 | 7, 2ull << 60 | 5, 3, 4}}, pool_->mempool());
    auto ifs = std::make_shared<Interfaces>();
    ifs->port.resize(1);
    ifs->port[0].addresses = {*parse_prefix("198.18.1.1/24"), *parse_prefix("2001:db8:1::1/64")};
    s_.interfaces = ifs;
    s_.icmp = {1u << 30, 1u << 30, 1u << 30, 1u << 30};
  }

  void frame(const Octets& f) {
    Interface ifc = s_.interfaces->port[0];
    ifc.mtu = 65521;
    if (const auto* eth = wire::peek<wire::EthHdr>(f); eth && !eth->dst.group()) ifc.mac = eth->dst;
    ExactMbuf m(f), twin(f);
    Meta meta, other;
    const DropReason r = parse(m, ifc, meta);
    ASSERT_EQ(r, parse_slow(twin, ifc, other));
    ++reasons_[r];
    if (r != DropReason::count_ || meta.family == 0) return;
    ++families_[meta.family];
    ASSERT_EQ(std::memcmp(&meta, &other, offsetof(Meta, egress)), 0);
    ASSERT_EQ(m->data_len, meta.l3 + meta.ip_length);
    ASSERT_LE(meta.l4, m->data_len);
    Buf(errors_->make(s_, {}, m, meta, 3, 1, 0, 0));
    Buf(errors_->make_tcp_reset(s_, {}, m, meta));
    if (meta.family == 6) {
      process_hop_by_hop(m, meta);
      check_local_ext_headers(m, meta);
      return;
    }
    process_ip4_options(m, meta, ifc, ifc.addresses[0].addr.v4(), {});
    rte_mbuf* out[200];
    rte_pktmbuf_free_bulk(out, fragment4(m, meta, 576, pool_->mempool(), out, 200));
  }

  std::unique_ptr<PacketPool> pool_;
  std::unique_ptr<IcmpErrors> errors_;
  Snapshot s_;
  std::map<DropReason, unsigned> reasons_;
  std::map<unsigned, unsigned> families_;
};

TEST_F(Captures, AllParseWithoutAFault) {
  const char *given = std::getenv("SLUICE_PCAPS"), *root = std::getenv("SLUICE_SOURCE_ROOT");
  const std::filesystem::path folder = given ? given : std::string(root ? root : ".") + "/../shared/pcaps";
  if (!std::filesystem::is_directory(folder))
    GTEST_SKIP() << "no captures at " << folder << "; SLUICE_PCAPS may name a folder";
  unsigned files = 0;
  for (const auto& e : std::filesystem::recursive_directory_iterator(folder)) {
    if (!e.is_regular_file()) continue;
    auto reader = port::PcapReader::open(e.path());
    if (!reader.ok()) continue;
    ++files;
    port::PcapReader::Frame f;
    while ((*reader)->next(f) == port::PcapReader::Next::frame)
      if (f.link_type == 1 && f.bytes.size() <= UINT16_MAX) frame(Octets(f.bytes.begin(), f.bytes.end()));
  }
  std::string seen = std::to_string(files) + " files; IPv4 " + std::to_string(families_[4]) + ", IPv6 " +
                     std::to_string(families_[6]);
  for (const auto& [r, n] : reasons_)
    if (r != DropReason::count_) seen += ", " + std::string(drop_info(r).name) + " " + std::to_string(n);
  std::printf("%s\n", seen.c_str());
  EXPECT_GT(families_[4], 0u);
  EXPECT_EQ(pool_->in_use(), 0u);
}

}  // namespace
}  // namespace sluice::path
