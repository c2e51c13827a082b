// One connection's sending half by itself: the functions of tcp/sender.h are called directly, what they send is kept as
// packets, and a scripted peer acknowledges. Sequence numbers are relative to the first byte of data. Virtual time.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tcp/receiver.h"
#include "tcp/sender.h"

namespace sluice::tcp::test {

struct Packet {
  int32_t seq = 0;
  uint32_t length = 0;
  uint8_t flags = 0;
  Ecn ecn = Ecn::not_ect;
  bool dont_fragment = true;
  Instant at{};
  uint32_t ts_val = 0;
  std::string data;

  int32_t end() const { return seq + static_cast<int32_t>(length); }
  bool has(uint8_t f) const { return flags & f; }
};

struct Setup {
  bool sack = true, timestamps = false, ecn = false, ip6 = false;
  uint16_t mss = 1000, mtu = 1500;
  uint32_t window = 65535;
  uint8_t shift = 0;
  uint32_t records = 4096, chunks = 4096, send_buffer = 4 << 20;
  Tuning tuning{};
  bool established = true;
};

class Lab : public Sink {
 public:
  static constexpr uint32_t kIss = 0xfffff000, kIrs = 7000;  // numbers wrap in every test that sends 4 KiB

  explicit Lab(const Setup& s = {}) : setup(s), core(config(s), Secrets{}, buffers, *this) {
    core.now = Instant{Duration::seconds(100).ns};
    core.tcbs.take();  // index 0 is somebody else
    const uint32_t i = core.tcbs.take();
    c = &core.tcbs.at(i);
    if (s.ip6) c->tuple = {Ip6{{0x20, 1}}, Ip6{{0x20, 2}}, 80, 4000};
    else c->tuple = {Ip4::from_host(0xc6120002), Ip4::from_host(0xc6120001), 80, 4000};
    c->iss = Seq{kIss};
    c->irs = Seq{kIrs};
    c->rcv_nxt = Seq{kIrs + 1};
    c->mtu = s.mtu;
    c->snd_mss = s.mss;
    c->sack_ok = s.sack;
    c->ts_ok = s.timestamps;
    c->ecn_ok = s.ecn;
    c->ws_ok = s.shift > 0;
    c->snd_wind_shift = s.shift;
    c->tx.send_buffer = s.send_buffer;
    c->state = State::syn_received;
    if (s.established) open();
  }
  ~Lab() { drop_sending(core, *c); }

  void open(Duration rtt = Duration::millis(100)) {
    send_syn(core, *c);
    core.now = core.now + rtt;
    c->state = State::established;
    syn_acknowledged(core, *c, segment(0, setup.window));
    flush();
    out.clear();
  }

  InSegment segment(int32_t ack, uint32_t window) {
    InSegment s;
    s.tuple = c->tuple;
    s.flags = wire::kTcpAck;
    s.seq = c->rcv_nxt;
    s.ack = Seq{kIss + 1} + static_cast<uint32_t>(ack);
    s.window = static_cast<uint16_t>(window >> setup.shift);
    if (setup.timestamps) {
      s.options.has_timestamps = true;
      s.options.ts_ecr = echo ? echo : core.timestamp_of(*c);
    }
    return s;
  }
  using Block = std::pair<int32_t, int32_t>;
  Acked ack(int32_t number, std::vector<Block> sack = {}, uint8_t flags = 0) {
    InSegment s = segment(number, setup.window);
    s.flags |= flags;
    for (const Block& b : sack) s.options.sack[s.options.sack_blocks++] = {absolute(b.first), absolute(b.second)};
    return feed(s);
  }
  Acked window(int32_t number, uint32_t bytes) {
    setup.window = bytes;
    return ack(number);
  }
  Acked feed(const InSegment& s) {
    const Acked a = acknowledge(core, *c, s);
    flush();
    return a;
  }
  // `bytes` of a pattern, in pieces of `piece`.
  Outcome write(uint32_t bytes, uint32_t piece = UINT32_MAX) {
    std::vector<Slice> v;
    for (uint32_t n; bytes; bytes -= n) {
      n = std::min(bytes, piece);
      const Slice s{.data = pattern() + written % kPeriod, .length = n};
      v.push_back(s);
      written += n;
    }
    const Outcome o = enqueue(core, *c, v.data(), static_cast<unsigned>(v.size()));
    flush();
    return o;
  }
  void fin() {
    queue_fin(core, *c);
    c->state = State::fin_wait_1;
    flush();
  }
  void flush() { output(core, *c); }

  // Runs the timer up to `d` from now; false: the connection was given up.
  bool wait(Duration d) {
    const Instant until = core.now + d;
    bool alive = true;
    while (alive && core.timers.next_deadline() <= until) {
      core.now = std::max(core.now, core.timers.next_deadline());
      core.timers.expire(core.now, 1000, [&](uint32_t timer) {
        if (timer % kTimers != static_cast<uint32_t>(Timer::retransmit)) return;
        alive = retransmit_timer(core, *c) && alive;
        if (alive) flush();
      });
    }
    if (alive) core.now = until;
    return alive;
  }
  bool armed() const { return core.armed(*c, Timer::retransmit); }

  // What was sent since the last call.
  std::vector<Packet> taken() { return std::exchange(out, {}); }
  std::string shape() {  // "0:1000 1000:2000", a FIN as "F"
    std::string s;
    for (const Packet& p : taken()) {
      if (!s.empty()) s += ' ';
      s += std::to_string(p.seq) + ':' + std::to_string(p.end());
      if (p.has(wire::kTcpFin)) s += 'F';
    }
    return s;
  }
  bool send(const OutSegment& s) override {
    last = s;
    std::string bytes;
    for (const Slice& p : s.payload) bytes.append(reinterpret_cast<const char*>(p.data), p.length);
    EXPECT_EQ(bytes.size(), s.length);
    EXPECT_TRUE(!s.length || s.mss);
    const auto o = wire::parse_tcp_options(s.options);
    uint32_t at = 0;
    do {
      const uint32_t n = std::min<uint32_t>(s.length - at, s.length ? s.mss : 0);
      Packet p{.seq = relative(s.seq) + static_cast<int32_t>(at), .length = n, .flags = s.flags, .ecn = s.ecn,
               .dont_fragment = s.dont_fragment, .at = core.now, .ts_val = o.ts_val, .data = bytes.substr(at, n)};
      const bool last_one = at + n == s.length;
      if (!last_one) p.flags &= static_cast<uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
      if (at) p.flags &= static_cast<uint8_t>(~wire::kTcpCwr);
      out.push_back(p);
      at += n;
    } while (at < s.length);
    return true;
  }

  static constexpr uint32_t kPeriod = 251, kMost = 8 << 20;
  static const uint8_t* pattern() {
    static const std::vector<uint8_t> bytes = [] {
      std::vector<uint8_t> v(kMost);
      for (uint32_t i = 0; i < v.size(); i++) v[i] = static_cast<uint8_t>(i % kPeriod);
      return v;
    }();
    return bytes.data();
  }
  static std::string pattern_at(uint32_t offset, uint32_t n) {
    return {reinterpret_cast<const char*>(pattern()) + offset % kPeriod, n};
  }
  static int32_t relative(Seq s) { return s - Seq{kIss + 1}; }
  static uint32_t absolute(int32_t n) { return kIss + 1 + static_cast<uint32_t>(n); }
  SenderView view() const { return sender_view(core, *c); }

  Setup setup;
  Buffers buffers{nullptr, 1000};
  Core core;
  Tcb* c = nullptr;
  std::vector<Packet> out;
  OutSegment last;
  uint32_t written = 0;
  uint32_t echo = 0;  // TSecr of the next ACKs; 0: the present

 private:
  static Config config(const Setup& s) {
    Config k;
    k.tuning = s.tuning;
    k.limits.connections = 4;
    k.limits.records = s.records;
    k.limits.chunks = s.chunks;
    return k;
  }
};

inline Duration ms(int64_t n) { return Duration::millis(n); }

// Ten segments of 1000 in flight, sent 1 ms apart, 100 ms away.
inline void fill(Lab& lab, int n = 10) {
  for (int i = 0; i < n; i++) {
    lab.write(1000);
    lab.core.now = lab.core.now + ms(1);
  }
  lab.core.now = lab.core.now + ms(90);
  ASSERT_EQ(lab.taken().size(), static_cast<size_t>(n));
}

}  // namespace sluice::tcp::test
