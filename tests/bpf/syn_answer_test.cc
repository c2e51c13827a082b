// SYN-ACKs that are given in front of the stack: byte for byte what the stack itself says with a cookie, the same from
// both compilations; the stack takes what comes back to them, without having kept anything; and what is not answered.
#include <vector>

#include "bpf/twins.h"
#include "packet/buffers.h"
#include "tcp/core.h"
#include "tcp/stack.h"
#include "wire/tcp_options.h"

namespace sluice::test {
namespace {

const shed::Service kWeb4{.addr = *parse_ip("198.18.2.10"), .port = 80, .hop_limit = 61, .window_scale = 3};
const shed::Service kWeb6{.addr = *parse_ip("2001:db8:2::10"), .port = 80, .mss = 1440, .hop_limit = 61, .window_scale = 3};

tcp::Secrets secrets() {
  return {.isn = {1, 1}, .timestamp = {9, 10}, .cookie = {7, 8}};
}
// As a service with its receive buffer: 65535 << 3 holds it.
constexpr uint32_t kReceiveBuffer = 500'000;

// A stack that answers every SYN with a cookie.
struct Host final : tcp::Sink {
  struct Sent {
    tcp::Seq seq, ack;
    uint8_t flags;
    uint16_t window;
    Octets options;
  };
  Host()
      : buffers(nullptr, 0),
        stack({.limits = {.connections = 64, .half_open = 8, .cookie_mark = 0}}, secrets(), buffers, *this) {
    tcp::ListenerId id;
    EXPECT_EQ(stack.listen({.port = 80, .receive_buffer = kReceiveBuffer}, id), tcp::Outcome::ok);
  }
  bool send(const tcp::OutSegment& s) override {
    sent.push_back({s.seq, s.ack, s.flags, s.window, Octets(s.options.begin(), s.options.end())});
    return true;
  }
  Buffers buffers;
  tcp::Stack stack;
  std::vector<Sent> sent;
};

struct Syn {
  bool six = false;
  wire::TcpOptions options{.has_mss = true, .has_window_scale = true, .sack_permitted = true, .has_timestamps = true,
                           .window_scale = 7, .mss = 1460, .ts_val = 0x01020304};
  uint8_t flags = kSyn;
  uint32_t seq = 0xfffffff0;
  unsigned sport = 40000, dport = 80;
  const char* src4 = "198.18.1.10";
  Octets text;
  Octets raw_options;  // instead of options
  V4 v4;

  Octets segment() const {
    uint8_t out[wire::kMaxTcpOptions];
    const unsigned n = wire::build_tcp_options(out, options);
    const Octets o = raw_options.empty() ? Octets(out, out + n) : raw_options;
    return tcp(sport, dport, flags, seq, 0, o + text, static_cast<uint8_t>(5 + o.size() / 4));
  }
  Octets packet() const {
    V4 f = v4;
    f.src = src4;
    f.proto = kTcp;
    Octets p = six ? ip6({.next = kTcp}, segment()) : ip4(f, segment());
    seal_tcp(p, six ? 40 : size_t{20} + f.options.size());
    return p;
  }
  Octets frame() const { return eth(packet(), six ? 0x86dd : 0x0800); }
  tcp::Tuple tuple() const {
    return {.local = *parse_ip(six ? "2001:db8:2::10" : "198.18.2.10"), .remote = *parse_ip(six ? "2001:db8:1::10" :
    src4),
            .local_port = 80, .remote_port = static_cast<uint16_t>(sport)};
  }
};

class SynAnswer : public Twins {
 protected:
  void SetUp() override {
    Twins::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    set({.syn = {.per_second = 1, .burst = 1}, .syn_always = true});
    shed_->set_services({kWeb4, kWeb6});
    both(Syn{.seq = 1}.frame());  // what the rate allows
    both(Syn{.six = true, .seq = 1}.frame());
  }
  // An answer, checked against the stack's own.
  Octets answered(const Syn& syn, size_t tags = 0) {
    Octets f = syn.frame();
    if (tags == 1) f = tagged(f, {0x8100});
    if (tags == 2) f = tagged(f, {0x88a8, 0x8100});
    while (f.size() < 60) f.push_back(0xee);  // padding is no part of it
    const Judged j = both(f);
    EXPECT_EQ(j.outcome, SLUICE_OUT_ANSWERED);
    EXPECT_EQ(j.cls, SLUICE_CLASS_NEW);
    check(syn, f, j.frame, 14 + 4 * tags);
    return j.frame;
  }
  void check(const Syn& syn, const Octets& asked, const Octets& a, size_t l3) {
    const size_t ip = syn.six ? 40 : 20, l4 = l3 + ip;
    ASSERT_GE(a.size(), l4 + 24);
    EXPECT_EQ(Octets(a.begin(), a.begin() + 12), of(kTheirs) + of(kOurs));
    EXPECT_TRUE(std::equal(a.begin() + 12, a.begin() + static_cast<long>(l3), asked.begin() + 12));
    const Octets packet(a.begin() + static_cast<long>(l3), a.end());
    Octets sealed = packet;
    seal_tcp(sealed, ip);
    EXPECT_EQ(sealed, packet) << "TCP checksum";
    const tcp::Tuple t = syn.tuple();
    if (syn.six) {
      EXPECT_EQ(Octets(packet.begin(), packet.begin() + 40),
                ip6({.src = "2001:db8:2::10", .dst = "2001:db8:1::10", .next = kTcp, .hop_limit = 61, .payload_length = int(packet.size()
                - 40)}, {}));
    } else {
      EXPECT_EQ(Octets(packet.begin(), packet.begin() + 20),
                ip4({.src = "198.18.2.10", .dst = syn.src4, .proto = kTcp, .ttl = 61, .id = 0, .frag = 0x4000, .total =
                int(packet.size())}, {}));
    }
    Host host;
    tcp::InSegment in{.tuple = t, .seq = {syn.seq}, .flags = syn.flags, .options =
    wire::parse_tcp_options(options(asked, l4))}; host.stack.receive(now_, in);
    ASSERT_EQ(host.sent.size(), 1u);
    const Host::Sent& s = host.sent[0];
    EXPECT_EQ(get16(a, l4), t.local_port);
    EXPECT_EQ(get16(a, l4 + 2), t.remote_port);
    EXPECT_EQ(get32(a, l4 + 4), s.seq.v);
    EXPECT_EQ(get32(a, l4 + 8), s.ack.v);
    EXPECT_EQ(a[l4 + 13], s.flags);
    EXPECT_EQ(get16(a, l4 + 14), s.window);
    EXPECT_EQ(Octets(a.begin() + static_cast<long>(l4 + 20), a.end()), s.options);
  }
  static wire::ConstBytes options(const Octets& f, size_t l4) {
    return wire::ConstBytes(f).subspan(l4 + 20, (f[l4 + 12] >> 4) * 4u - 20);
  }
  void not_answered(const Octets& f, sluice_outcome o = SLUICE_DROP_syn_rate) { EXPECT_EQ(both(f).outcome, o); }
};

TEST_F(SynAnswer, SaysWhatTheStackSays) {
  for (bool six : {false, true})
    for (size_t tags : {0, 1, 2})
      for (unsigned which = 0; which < 16; which++)
        for (uint8_t flags : {kSyn, static_cast<uint8_t>(kSyn | 64 | 128), static_cast<uint8_t>(kSyn | 64)}) {
          Syn s{.six = six, .flags = flags};
          s.options.has_mss = which & 1;
          s.options.has_window_scale = which & 2;
          s.options.sack_permitted = which & 4;
          s.options.has_timestamps = which & 8;
          answered(s, tags);
          if (HasFailure()) FAIL() << six << " " << tags << " " << which << " " << +flags;
        }
}

TEST_F(SynAnswer, ValuesOfOptions) {
  for (unsigned mss : {0, 47, 536, 1220, 1459, 1460, 9000, 65535})
    for (unsigned scale : {0, 7, 14, 15, 255}) {
      Syn s;
      s.options.mss = static_cast<uint16_t>(mss);
      s.options.window_scale = static_cast<uint8_t>(scale);
      answered(s);
    }
}

TEST_F(SynAnswer, OptionsAsTheyComeAndWrongOnes) {
  const Octets all[] = {{1, 1, 1, 1, 2, 4, 5, 0}, {2, 4, 5, 0, 0, 8, 10, 1}, {2, 3, 5, 2, 4, 5, 6, 0},
                        {2, 4, 5, 0, 3, 9, 1, 1},
                        {2, 4, 5, 0, 3, 1, 1, 1}, {8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 4, 2}, {254, 4, 9, 9, 2, 4, 4, 0},
                        {2, 4, 5, 0, 1, 1, 1, 8}, Octets(40, 1)};
  for (const Octets& o : all) answered(Syn{.raw_options = o});
}

TEST_F(SynAnswer, TheStackTakesWhatComesBack) {
  for (bool six : {false, true})
    for (bool timestamps : {false, true}) {
      Syn syn{.six = six};
      syn.options.has_timestamps = timestamps;
      const Octets a = answered(syn);
      const size_t l4 = six ? 54 : 34;
      Host host;  // has seen nothing
      tcp::InSegment ack{.tuple = syn.tuple(), .seq = {syn.seq + 1}, .ack = {get32(a, l4 + 4) + 1}, .flags = kAck,
      .window = 1000}; const wire::TcpOptions said = wire::parse_tcp_options(options(a, l4));
      ack.options.has_timestamps = timestamps;
      ack.options.ts_val = syn.options.ts_val + 1;
      ack.options.ts_ecr = said.ts_val;
      host.stack.receive(now_ + Duration::millis(30), ack);
      EXPECT_EQ(host.stack.counters().cookies_received, 1u);
      EXPECT_EQ(host.stack.sizes().connections, 1u);
      tcp::Info info;
      host.stack.list(now_, 0, 64, &info, [](void* to, const tcp::Info& i) { *static_cast<tcp::Info*>(to) = i; });
      EXPECT_EQ(info.snd_wind_shift, timestamps ? 7 : 0);
      EXPECT_EQ(info.sack, timestamps);
      EXPECT_EQ(info.timestamps, timestamps);
      EXPECT_EQ(info.snd_mss, 1460);
    }
}

TEST_F(SynAnswer, AnAckThatBringsACookieIsNewAndAnotherIsNot) {
  for (bool six : {false, true}) {
    const Syn syn{.six = six};
    const uint32_t cookie = get32(answered(syn), (six ? 54 : 34) + 4);
    level(100);
    const auto ack = [&](uint32_t seq, uint32_t a, uint8_t flags = kAck) {
      const Octets t = tcp(40000, 80, flags, seq, a, zeros(6));
      return both(six ? v6({.next = kTcp}, t) : v4({.proto = kTcp}, t)).cls;
    };
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1), SLUICE_CLASS_NEW);
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1, kAck | kPsh), SLUICE_CLASS_NEW);
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1, kAck | kRst), SLUICE_CLASS_REST);
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1 + (1 << 20)), SLUICE_CLASS_REST);
    EXPECT_EQ(ack(syn.seq + 2, cookie + 1), SLUICE_CLASS_REST);
    pass(Duration::seconds(100));
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1), SLUICE_CLASS_NEW);
    pass(Duration::seconds(100));
    EXPECT_EQ(ack(syn.seq + 1, cookie + 1), SLUICE_CLASS_REST) << "too old";
    level(0);
    pass(Duration::seconds(-200));
  }
}

TEST_F(SynAnswer, TheStackAnswersWhereTheDeviceCannot) {
  queue_->no_answers = own_queue_.no_answers = 1;
  EXPECT_EQ(both(Syn{}.frame()), (Judged{SLUICE_OUT_REDIRECTED, SLUICE_CLASS_NEW, Syn{}.frame()}));
  not_answered(Syn{.dport = 81}.frame(), SLUICE_OUT_REDIRECTED);  // within its rate
  not_answered(Syn{.dport = 81}.frame());
}

TEST_F(SynAnswer, WhatIsNotAnswered) {
  not_answered(Syn{.flags = kSyn | kFin}.frame());
  not_answered(Syn{.flags = kSyn | kRst}.frame());
  not_answered(Syn{.text = zeros(4)}.frame());
  not_answered(Syn{.v4 = {.options = zeros(4, 1)}}.frame());
  not_answered(Syn{.v4 = {.checksum = 7}}.frame());
  not_answered(Syn{.src4 = "224.0.0.1"}.frame());
  not_answered(Syn{.src4 = "127.0.0.1"}.frame());
  not_answered(Syn{.src4 = "198.18.2.10"}.frame());  // from its own address
  not_answered(eth(Syn{}.packet(), 0x0800, kBroadcast));
  for (size_t at : {14u + 20u, 14u + 36u, 14u + 45u, 14u + 12u}) {
    Octets f = Syn{}.frame();
    f[at] ^= 0x10;
    not_answered(f);
  }
  Octets six = ip6({.next = 60}, ext(kTcp, {}) + Syn{.six = true}.segment());
  not_answered(eth(six, 0x86dd));
  EXPECT_EQ(both(Syn{.dport = 81}.frame()).outcome, SLUICE_OUT_REDIRECTED);  // within its rate
  not_answered(Syn{.dport = 81}.frame());                                  // no service of ours
  set({.syn = {.per_second = 1, .burst = 1}, .syn_always = true, .syn_cookies = false});
  not_answered(Syn{}.frame());
}

}  // namespace
}  // namespace sluice::test
