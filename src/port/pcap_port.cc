// The pcap port: a capture comes in at the times that it was taken, what the box sends goes to a pcapng
// file. Everything comes in on queue 0: a file has no receive-side scaling.
//
// Time: a frame is there from its capture time on, in nanoseconds since 1970, so that several ports share
// one clock; times that go backwards are read as the latest so far. With `pcap_live` (a box that runs on the
// machine's clock) the whole capture is shifted so that its first frame comes with the first rx_burst.
//
// What cannot be an mbuf of the path (snapped, longer than a buffer, a link type without IP) is freed here,
// at its time, and counted by reason.
#include <array>
#include <cstring>
#include <mutex>
#include <utility>

#include "packet/buf.h"
#include "port/open.h"
#include "port/pcap_link.h"
#include "port/pcapng_writer.h"

namespace sluice::port {

namespace {

class PcapPort final : public Port {
 public:
  PcapPort(const Options& o, PacketPool& pool, std::unique_ptr<PcapReader> in,
           std::unique_ptr<PcapngWriter> out)
      : pool_(pool), index_(o.index), in_(std::move(in)), out_(std::move(out)), live_(o.pcap_live) {
    info_.name = o.name;
    info_.driver = "pcap";
    info_.device = o.device;
    info_.mode = in_ ? "replay of " + link_type_name(in_->first_link_type()) : "output only";
    info_.reason = o.reason.empty() ? "driver: pcap" : o.reason;
    info_.mac = software_mac(o);
    info_.mtu = o.mtu.value_or(1500);
    info_.tx_queues = info_.rx_queues = o.queues;
    if (out_) interface_ = out_->add_interface(o.name);
    if (in_ && !link_type_known(in_->first_link_type()))
      say(Event::Level::warning,
          o.device + " was captured on " + link_type_name(in_->first_link_type()) +
              ", which sluice cannot read: its frames are dropped and counted as link_type_unsupported");
    room_ = static_cast<unsigned>(rte_pktmbuf_data_room_size(pool.mempool()) - RTE_PKTMBUF_HEADROOM);
    advance();
  }
  ~PcapPort() override { PcapPort::stop(); }

  unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override;
  Instant next_event() const override { return {next_.load(std::memory_order_relaxed)}; }
  bool exhausted() const override { return next_event() == Instant::never(); }
  const Info& info() const override { return info_; }
  Stats stats() const override;
  Status start() override { return {}; }
  void stop() override;
  std::vector<Event> maintain(const std::function<void()>&) override;
  bool link_up() const override { return true; }

 private:
  void advance();
  rte_mbuf* make(const PcapReader::Frame& f);
  void reject(DropReason why) { rejected_[static_cast<unsigned>(why)].add(1); }
  void say(Event::Level level, std::string text) {
    std::lock_guard lock(mutex_);
    events_.push_back({level, std::move(text)});
  }

  PacketPool& pool_;
  uint16_t index_;
  Info info_;
  std::unique_ptr<PcapReader> in_;
  std::unique_ptr<PcapngWriter> out_;
  bool live_;
  bool anchored_ = false;
  int64_t back_ = 0;  // capture time minus the box's
  unsigned room_, interface_ = 0;
  PcapReader::Frame frame_;  // what comes at next_
  std::atomic<int64_t> next_{INT64_MAX};
  Counter frames_, backward_, truncated_, no_mbuf_;
  std::array<Counter, kDropReasons> rejected_;
  // Sending queues share the file, and events come from the lcore. A port for files may take a lock.
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  uint64_t sent_ = 0, tx_errors_ = 0;
  bool out_failed_ = false;
};

// Looks at the next frame of the capture.
void PcapPort::advance() {
  auto r = in_ ? in_->next(frame_) : PcapReader::Next::end;
  if (r == PcapReader::Next::frame) {
    frames_.add(1);
    int64_t at = frame_.time.ns - back_, before = next_event().ns;
    if (before != INT64_MAX && at < before) {
      backward_.add(1);
      at = before;
    }
    next_.store(at, std::memory_order_relaxed);
    return;
  }
  if (r == PcapReader::Next::broken && truncated_.get() == 0) {
    truncated_.add(1);
    say(Event::Level::error, in_->complaint());
  }
  next_.store(INT64_MAX, std::memory_order_relaxed);
}

unsigned PcapPort::rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) {
  if (queue != 0) return 0;
  if (live_ && !anchored_ && !exhausted()) {
    anchored_ = true;
    back_ = next_event().ns - now.ns;
    next_.store(now.ns, std::memory_order_relaxed);
  }
  unsigned got = 0;
  while (got < n && !exhausted() && next_event() <= now) {
    if (rte_mbuf* m = make(frame_)) pkts[got++] = m;
    advance();
  }
  return got;
}

rte_mbuf* PcapPort::make(const PcapReader::Frame& f) {
  LinkFrame l = to_ethernet(f, info_.mac);
  if (l.reject != DropReason::count_) return reject(l.reject), nullptr;
  if (f.original > f.bytes.size()) return reject(DropReason::frame_snapped), nullptr;
  const size_t head = l.header ? sizeof(wire::EthHdr) : 0, length = head + l.payload.size();
  if (length == 0) return reject(DropReason::frame_short), nullptr;
  if (length > room_) return reject(DropReason::frame_long), nullptr;
  rte_mbuf* m = rte_pktmbuf_alloc(pool_.mempool());
  if (!m) return no_mbuf_.add(1), nullptr;
  m->port = index_;
  m->data_len = static_cast<uint16_t>(length);
  m->pkt_len = static_cast<uint32_t>(length);
  auto bytes = bytes_of(m);
  if (l.header) *wire::at<wire::EthHdr>(bytes.data()) = *l.header;
  std::memcpy(bytes.data() + head, l.payload.data(), l.payload.size());
  return m;
}

unsigned PcapPort::tx_burst(unsigned, Instant now, rte_mbuf** pkts, unsigned n) {
  {
    std::lock_guard lock(mutex_);
    for (unsigned i = 0; i < n && out_; i++)
      tx_errors_ +=
          !out_->frame(interface_, Instant{now.ns + back_}, PcapngWriter::Direction::outbound, pkts[i]);
    sent_ += n;
  }
  rte_pktmbuf_free_bulk(pkts, n);
  return n;
}

void PcapPort::stop() {
  std::lock_guard lock(mutex_);
  if (out_) (void)out_->close();
}

std::vector<Event> PcapPort::maintain(const std::function<void()>&) {
  std::lock_guard lock(mutex_);
  if (out_ && !out_->status().ok() && !std::exchange(out_failed_, true))
    events_.push_back({Event::Level::error, out_->status().error()});
  return std::exchange(events_, {});
}

Stats PcapPort::stats() const {
  Stats s;
  s.link_up = true;
  s.no_mbuf = no_mbuf_.get();
  for (unsigned i = 0; i < kDropReasons; i++)
    if (uint64_t k = rejected_[i].get()) {
      s.rx_rejected += k;
      s.rejected.emplace_back(static_cast<DropReason>(i), k);
    }
  s.extended = {{"frames", frames_.get()},
                {"snapped", rejected_[static_cast<unsigned>(DropReason::frame_snapped)].get()},
                {"times_backward", backward_.get()},
                {"truncated", truncated_.get()}};
  std::lock_guard lock(mutex_);
  s.tx_errors = tx_errors_;
  s.extended.emplace_back("sent", sent_);
  return s;
}

}  // namespace

Result<std::unique_ptr<Port>> open_pcap(const Options& o, PacketPool& pool) {
  std::unique_ptr<PcapReader> in;
  std::unique_ptr<PcapngWriter> out;
  if (!o.device.empty()) {
    auto r = PcapReader::open(o.device);
    if (!r) return Error{"port " + o.name + ": " + r.error()};
    in = std::move(*r);
  }
  if (!o.pcap_out.empty()) {
    auto w = PcapngWriter::create(o.pcap_out);
    if (!w) return Error{"port " + o.name + ": " + w.error()};
    out = std::move(*w);
  }
  return std::unique_ptr<Port>(std::make_unique<PcapPort>(o, pool, std::move(in), std::move(out)));
}

}  // namespace sluice::port
