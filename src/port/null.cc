// The null port: nothing comes in, and what goes out is counted and freed.
#include "port/open.h"
#include "port/sink.h"

namespace sluice::port {

namespace {

class NullPort final : public Port {
 public:
  explicit NullPort(const Options& o) : sinks_(o.queues) {
    info_.name = o.name;
    info_.driver = "null";
    info_.device = o.device;
    info_.mode = "sink";
    info_.reason = "driver: null";
    info_.mac = software_mac(o);
    info_.mtu = o.mtu.value_or(1500);
    info_.rx_queues = info_.tx_queues = o.queues;
    info_.symmetric_rss = true;
  }

  unsigned rx_burst(unsigned, Instant, rte_mbuf**, unsigned) override { return 0; }
  unsigned tx_burst(unsigned queue, Instant, rte_mbuf** pkts, unsigned n) override {
    sinks_[queue].take(pkts, n);
    return n;
  }
  bool exhausted() const override { return true; }
  const Info& info() const override { return info_; }
  Stats stats() const override {
    Stats s;
    s.link_up = true;
    s.extended.emplace_back("sunk", sunk(sinks_));
    return s;
  }
  Status start() override { return {}; }
  void stop() override {}
  bool link_up() const override { return true; }

 private:
  Info info_;
  std::vector<Sink> sinks_;
};

}  // namespace

Result<std::unique_ptr<Port>> open_null(const Options& o, PacketPool&) {
  return std::unique_ptr<Port>(std::make_unique<NullPort>(o));
}

}  // namespace sluice::port
