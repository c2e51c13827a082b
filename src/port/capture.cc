// The capture port: writes what goes in and out of any port to a pcapng file.
//
// Lcores only copy into rings (capture_ring.h); a thread of ours writes. A file that cannot keep up loses
// frames of the capture, counted, never frames of the network. Around a pcap port in virtual time there is no
// such thread: everything is written at once, so that nothing is lost and the bytes are the same every time.
#include <ctime>
#include <thread>

#include "port/capture_ring.h"
#include "port/open.h"
#include "port/pcapng_writer.h"
#include "port/wrapper.h"

namespace sluice::port {

namespace {

constexpr auto kPause = std::chrono::milliseconds(5);  // a ring holds some 800 MB/s for that long

int64_t clock_ns(clockid_t id) {
  timespec t{};
  clock_gettime(id, &t);
  return t.tv_sec * 1000'000'000 + t.tv_nsec;
}

class CapturePort final : public Wrapper {
 public:
  CapturePort(std::unique_ptr<Port> inner, std::unique_ptr<PcapngWriter> writer, bool at_once)
      : Wrapper(std::move(inner)),
        writer_(std::move(writer)),
        at_once_(at_once),
        rings_(std::max(info().rx_queues, info().tx_queues)) {
    interface_ = writer_->add_interface(info().name);
    // Captures count from 1970, the box from boot.
    if (!at_once_) offset_ = {clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC)};
  }
  ~CapturePort() override { CapturePort::stop(); }

  unsigned rx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override {
    const unsigned got = inner_->rx_burst(queue, now, pkts, n);
    if (got == 0) return 0;
    CaptureRing& ring = rings_[queue];
    uint64_t at = ring.begin();
    for (unsigned i = 0; i < got; i++) at = ring.put(at, pkts[i], now + offset_, false);
    ring.publish(at);
    if (at_once_) write(ring);
    return got;
  }

  // The frames are gone once the port has taken them: they are copied before, and published as far as it did.
  unsigned tx_burst(unsigned queue, Instant now, rte_mbuf** pkts, unsigned n) override {
    CaptureRing& ring = rings_[queue];
    uint64_t at[kMaxBurst + 1] = {ring.begin()};
    n = std::min(n, kMaxBurst);
    for (unsigned i = 0; i < n; i++) at[i + 1] = ring.put(at[i], pkts[i], now + offset_, true);
    const unsigned sent = inner_->tx_burst(queue, now, pkts, n);
    ring.publish(at[sent]);
    if (at_once_ && sent > 0) write(ring);
    return sent;
  }

  Stats stats() const override {
    Stats s = inner_->stats();
    s.extended.emplace_back("captured", captured_.get());
    s.extended.emplace_back("capture_lost", lost());
    return s;
  }

  Status start() override {
    Status s = inner_->start();
    if (s && !at_once_ && !thread_.joinable())
      thread_ = std::jthread([this](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
          write_all();
          std::this_thread::sleep_for(kPause);
        }
      });
    return s;
  }

  void stop() override {
    inner_->stop();
    if (thread_.joinable()) {
      thread_.request_stop();
      thread_.join();
    }
    write_all();
    if (Status s = writer_->close(); !s) fail(s);
  }

  std::vector<Event> maintain(const std::function<void()>& quiesce) override {
    std::vector<Event> events = inner_->maintain(quiesce);
    if (failed_.load(std::memory_order_acquire) && !std::exchange(said_failed_, true))
      events.push_back({Event::Level::error, "port " + info().name + ": " + why_});
    if (lost() > 0 && !std::exchange(said_lost_, true))
      events.push_back({Event::Level::warning, "port " + info().name +
                                                   ": the capture's file is too slow; frames are "
                                                   "missing from it (capture_lost)"});
    return events;
  }

 private:
  void write(CaptureRing& ring) {
    ring.drain([this](const CaptureRing::Record& r, wire::ConstBytes frame) {
      const auto d = r.outbound ? PcapngWriter::Direction::outbound : PcapngWriter::Direction::inbound;
      if (writer_->frame(interface_, Instant{r.time}, d, frame))
        captured_.add(1);
      else
        unwritten_.add(1);
    });
    if (!writer_->status().ok()) fail(writer_->status());
  }
  void write_all() {
    for (CaptureRing& r : rings_) write(r);
    if (Status s = writer_->flush(); !s) fail(s);  // a reader can follow the file
  }
  void fail(const Status& s) {
    if (failed_.load(std::memory_order_relaxed)) return;
    why_ = s.error();
    failed_.store(true, std::memory_order_release);
  }
  uint64_t lost() const {
    uint64_t n = unwritten_.get();
    for (const CaptureRing& r : rings_) n += r.lost();
    return n;
  }

  std::unique_ptr<PcapngWriter> writer_;
  const bool at_once_;
  std::vector<CaptureRing> rings_;
  unsigned interface_ = 0;
  Duration offset_{};
  Counter captured_, unwritten_;
  std::string why_;
  std::atomic<bool> failed_{false};
  bool said_failed_ = false, said_lost_ = false;
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<Port>> wrap_capture(std::unique_ptr<Port> inner, const Options& o) {
  auto writer = PcapngWriter::create(o.capture);
  if (!writer) return Error{"port " + o.name + ": " + writer.error()};
  const bool at_once = inner->info().driver == "pcap" && !o.pcap_live;
  return std::unique_ptr<Port>(std::make_unique<CapturePort>(std::move(inner), std::move(*writer), at_once));
}

}  // namespace sluice::port
