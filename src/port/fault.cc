// The fault port: loss, duplication, reordering, corruption and delay around any port, in both directions,
// from a seed, so that a run can be repeated.
//
// Each queue has a lane per direction. Frames go through their lane even where they are not late, so that
// order comes from one place. A full lane pushes back: nothing is fetched, nothing more is accepted. Late
// frames leave by rx_burst, tx_burst or turn at the first `now` that reaches their time; next_event() says
// when that is.
//
// The books: a frame lost on its way in is rx_rejected for fault_loss; one lost on its way out was accepted,
// and is a tx_error.
#include <algorithm>

#include "port/fault_lane.h"
#include "port/open.h"
#include "port/wrapper.h"

namespace sluice::port {

namespace {

class FaultPort final : public Wrapper {
 public:
  FaultPort(std::unique_ptr<Port> inner, const Options& o, PacketPool& pool) : Wrapper(std::move(inner)) {
    const unsigned n = std::max(info().rx_queues, info().tx_queues);
    for (unsigned q = 0; q < n; q++)
      lanes_.push_back(std::make_unique<Lanes>(o.fault, uint64_t{o.index} << 16 | q << 1, pool.mempool()));
    describe();
  }
  ~FaultPort() override { FaultPort::stop(); }

  unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override {
    pump(queue, now);
    FaultLane& lane = lanes_[queue]->in;
    const unsigned got = inner_->rx_burst(queue, now, pkts, std::min(n, lane.room()));
    for (unsigned i = 0; i < got; i++) lane.admit(now, pkts[i]);
    return lane.due(now, pkts, n);
  }

  unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override {
    FaultLane& lane = lanes_[queue]->out;
    n = std::min(n, lane.room());
    for (unsigned i = 0; i < n; i++) lane.admit(now, pkts[i]);
    pump(queue, now);
    return n;
  }

  void turn(unsigned queue, Instant now) override {
    pump(queue, now);
    inner_->turn(queue, now);
  }

  Instant next_event() const override {
    Instant next = inner_->next_event();
    for (auto& l : lanes_) next = std::min({next, l->in.next(), l->out.next()});
    return next;
  }

  bool exhausted() const override {
    return inner_->exhausted() && std::all_of(lanes_.begin(), lanes_.end(),
                                              [](auto& l) { return l->in.held() + l->out.held() == 0; });
  }

  const Info& info() const override { return info_; }
  Stats stats() const override;

  std::vector<Event> maintain(const std::function<void()>& quiesce) override {
    std::vector<Event> events = inner_->maintain(quiesce);
    describe();
    return events;
  }

  void stop() override {
    for (auto& l : lanes_) {
      left_in_ += l->in.drop_all();
      left_out_ += l->out.drop_all();
    }
    inner_->stop();
  }

 private:
  struct Lanes {
    Lanes(const FaultOptions& o, uint64_t stream, rte_mempool* pool)
        : in(o, stream, pool), out(o, stream | 1, pool) {}
    FaultLane in, out;
  };

  // Faults befall frames as they are on the wire: a byte that is corrupted must not be summed afterwards.
  void describe() {
    info_ = inner_->info();
    info_.tx = {};
  }

  void pump(unsigned queue, Instant now) {
    FaultLane& lane = lanes_[queue]->out;
    rte_mbuf* pkts[kMaxBurst];
    while (unsigned n = lane.due(now, pkts, kMaxBurst)) {
      const unsigned sent = inner_->tx_burst(queue, now, pkts, n);
      if (sent == n) continue;
      lane.put_back(now, pkts + sent, n - sent);
      return;
    }
  }

  Info info_;
  std::vector<std::unique_ptr<Lanes>> lanes_;
  uint64_t left_in_ = 0, left_out_ = 0;
};

Stats FaultPort::stats() const {
  Stats s = inner_->stats();
  uint64_t lost_in = 0, lost_out = 0, duplicated = 0, reordered = 0, corrupted = 0, delayed = 0;
  for (auto& l : lanes_) {
    lost_in += l->in.lost.get();
    lost_out += l->out.lost.get();
    s.held += l->in.held() + l->out.held();
    for (const FaultLane* lane : {&l->in, &l->out}) {
      duplicated += lane->duplicated.get();
      reordered += lane->reordered.get();
      corrupted += lane->corrupted.get();
      delayed += lane->delayed.get();
    }
  }
  s.rx_rejected += lost_in + left_in_;
  if (lost_in > 0) s.rejected.emplace_back(DropReason::fault_loss, lost_in);
  if (left_in_ > 0) s.rejected.emplace_back(DropReason::shutdown, left_in_);
  s.tx_errors += lost_out + left_out_;
  s.extended.insert(s.extended.end(), {{"fault_lost_in", lost_in},
                                       {"fault_lost_out", lost_out},
                                       {"fault_duplicated", duplicated},
                                       {"fault_reordered", reordered},
                                       {"fault_corrupted", corrupted},
                                       {"fault_delayed", delayed}});
  return s;
}

}  // namespace

std::unique_ptr<Port> wrap_fault(std::unique_ptr<Port> inner, const Options& o, PacketPool& pool) {
  return std::make_unique<FaultPort>(std::move(inner), o, pool);
}

}  // namespace sluice::port
