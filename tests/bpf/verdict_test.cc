// What the verdict is on frames of every kind, hand-made ones, and that the XDP program and user space agree on it.
#include <climits>

#include "bpf/twins.h"

namespace sluice::test {
namespace {

class Verdict : public Twins {
 protected:
  void expect(const Octets& frame, sluice_outcome o, sluice_class c = SLUICE_CLASS_REST) {
    const Judged j = both(frame);
    EXPECT_EQ(j, (Judged{o, c, j.frame}));
  }
  void dropped(const Octets& frame, sluice_outcome o, sluice_class c = SLUICE_CLASS_REST) { expect(frame, o, c); }
  void passes(const Octets& frame, sluice_class c = SLUICE_CLASS_REST) { expect(frame, SLUICE_OUT_REDIRECTED, c); }
  void mark(const char* src, const char* dst, unsigned sport, unsigned dport, uint8_t proto) {
    shed_->hints().mark(*parse_ip(src), *parse_ip(dst), be16::from(static_cast<uint16_t>(sport)).raw(),
                        be16::from(static_cast<uint16_t>(dport)).raw(), proto);
  }
  void list(const char* prefix, sluice_action a) {
    const Status s = shed_->lists().add({*parse_prefix(prefix), a}, shed::Origin::command);
    ASSERT_TRUE(s.ok()) << s.error();
  }
  const shed::Policy look{.check_frames = true};
};

TEST_F(Verdict, NothingIsLookedAtWithoutALevelOrAPolicy) {
  set({});
  passes(Octets(14, 0xff));
  passes(v4({.version_ihl = 0x42}, udp(1, 2)));
  level(1);
  dropped(v4({.version_ihl = 0x42}, udp(1, 2)), SLUICE_DROP_malformed);
}

TEST_F(Verdict, MalformedIp4) {
  set(look);
  for (int first : {0x35, 0x42, 0x44, 0x65, 0x00})
    dropped(v4({.version_ihl = first}, udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v4({.total = 19}, udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v4({.total = 29}, udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v4({.version_ihl = 0x4f}, udp(1, 2)), SLUICE_DROP_malformed);
  passes(v4({.options = zeros(40, 1)}, udp(1, 2)));
  passes(v4({}, udp(1, 2)) + zeros(18));  // Ethernet's padding
  dropped(eth(Octets(19, 0x45), 0x0800), SLUICE_DROP_malformed);
  for (unsigned cut = 14; cut < 14 + 28; cut++) {
    Octets f = v4({}, udp(1, 2));
    f.resize(cut);
    dropped(f, SLUICE_DROP_malformed);
  }
}

TEST_F(Verdict, MalformedIp6) {
  set(look);
  dropped(v6({.version = 4}, udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v6({.payload_length = 9}, udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v6({.next = 0, .payload_length = 0}, ext(kUdp, {}) + udp(1, 2)), SLUICE_DROP_malformed);  // a jumbogram
  Octets six;
  for (int i = 0; i < 6; i++) six = six + ext(i < 5 ? 60 : kUdp, {});
  passes(v6({.next = 60}, six + udp(1, 2)));
  dropped(v6({.next = 60}, ext(60, {}) + six + udp(1, 2)), SLUICE_DROP_malformed);
  dropped(v6({.next = 0}, Octets{kUdp, 255} + zeros(60)), SLUICE_DROP_malformed);
  passes(v6({.next = 51}, Octets{kUdp, 1} + zeros(10) + udp(1, 2)));  // AH counts in words
  for (unsigned cut = 14; cut < 14 + 56; cut++) {
    Octets f = v6({.next = 0}, ext(kUdp, {}) + udp(1, 2));
    f.resize(cut);
    dropped(f, SLUICE_DROP_malformed);
  }
}

TEST_F(Verdict, MalformedAbove) {
  set(look);
  dropped(v4({.proto = kTcp}, tcp(1, 2, kAck, 0, 0, {}, 4)), SLUICE_DROP_malformed);
  dropped(v4({.proto = kTcp}, tcp(1, 2, kAck, 0, 0, {}, 6)), SLUICE_DROP_malformed);
  passes(v4({.proto = kTcp}, tcp(1, 2, kAck, 0, 0, zeros(4), 6)));
  dropped(v4({}, words({1, 2, 7, 0})), SLUICE_DROP_malformed);
  dropped(v4({}, words({1, 2, 9, 0})), SLUICE_DROP_malformed);
  dropped(v4({.proto = kIcmp}, zeros(7)), SLUICE_DROP_malformed);
  dropped(v4({.proto = 132}, zeros(11)), SLUICE_DROP_malformed);
  passes(v4({.proto = 132}, zeros(12)));
  passes(v4({.proto = 47}, {}));
}

TEST_F(Verdict, Fragments) {
  set(look);
  passes(v4({.frag = 0x2000}, udp(1, 2, zeros(16))));
  passes(v4({.frag = 3}, zeros(5)));
  dropped(v4({.frag = 0x2000}, udp(1, 2, zeros(15))), SLUICE_DROP_malformed);  // more to come, and not of eights
  dropped(v4({.frag = 0x2003}, zeros(5)), SLUICE_DROP_malformed);
  dropped(v4({.frag = 0x2003}, {}), SLUICE_DROP_malformed);
  dropped(v4({.proto = kTcp, .frag = 1}, zeros(20)), SLUICE_DROP_malformed);  // RFC 3128
  dropped(v4({.proto = kTcp, .frag = 0x2000}, zeros(16)), SLUICE_DROP_malformed);
  dropped(v4({.frag = 0x1fff}, zeros(8)), SLUICE_DROP_malformed);  // ends behind 65535
  passes(v4({.frag = 0x1fff}, zeros(7)));
  passes(v6({.next = 44}, frag6(kUdp, 0, true) + udp(1, 2, zeros(16))));
  passes(v6({.next = 44}, frag6(kUdp, 8, false) + zeros(5)));
  passes(v6({.next = 44}, frag6(kUdp, 0, false) + udp(1, 2)));  // an atomic one
  dropped(v6({.next = 44}, frag6(kUdp, 0, true) + udp(1, 2, zeros(15))), SLUICE_DROP_malformed);
  dropped(v6({.next = 44}, frag6(kTcp, 8, false) + zeros(20)), SLUICE_DROP_malformed);
}

TEST_F(Verdict, TagsAreStepped) {
  set(look);
  list("198.18.1.10/32", SLUICE_ACTION_BLOCK);
  for (const auto& tags : {std::initializer_list<unsigned>{0x8100}, {0x88a8, 0x8100}, {0x9100}})
    dropped(tagged(udp4(), tags), SLUICE_DROP_block);
  passes(tagged(udp4(), {0x8100, 0x8100, 0x8100}));  // a third one is no tag
  Octets f = tagged(udp4(), {0x8100});
  f.resize(17);
  dropped(f, SLUICE_DROP_malformed);
}

TEST_F(Verdict, Lists) {
  set({.check_frames = true, .bogons = shed::Policy::Bogons::martian, .block_protocols = {kUdp}});
  list("198.18.0.0/16", SLUICE_ACTION_BLOCK);
  list("198.18.1.0/24", SLUICE_ACTION_ALLOW);
  list("198.18.1.77/32", SLUICE_ACTION_BLOCK);
  list("2001:db8:1::/48", SLUICE_ACTION_BLOCK);
  list("2001:db8:1::42/128", SLUICE_ACTION_ALLOW);
  dropped(udp4(1, 2, {.src = "198.18.3.3"}), SLUICE_DROP_block);
  passes(udp4(1, 2, {.src = "198.18.1.3"}), SLUICE_CLASS_CONTROL);  // passes everything
  dropped(udp4(1, 2, {.src = "198.18.1.77"}), SLUICE_DROP_block);
  dropped(udp4(1, 2, {.src = "127.0.0.1"}), SLUICE_DROP_bogon);
  dropped(udp4(1, 2, {.src = "9.9.9.9"}), SLUICE_DROP_protocol);
  dropped(udp6(), SLUICE_DROP_block);
  passes(udp6(1, 2, {.src = "2001:db8:1::42"}), SLUICE_CLASS_CONTROL);
  dropped(udp6(1, 2, {.src = "2001:db8:2::42"}), SLUICE_DROP_protocol);
  dropped(udp6(1, 2, {.src = "::1"}), SLUICE_DROP_bogon);
  level(SLUICE_LEVEL_MAX);
  passes(v4({.src = "198.18.1.3", .total = 21}, udp(1, 2)), SLUICE_CLASS_CONTROL);
}

TEST_F(Verdict, PortsAndProtocols) {
  set({.block_protocols = {47, 0}, .block_ports = {{17, 19, 19}, {6, 135, 139}, {6, 65535, 65535}}});
  dropped(v4({.proto = 47}, zeros(8)), SLUICE_DROP_protocol);
  dropped(v4({.proto = 0}, zeros(8)), SLUICE_DROP_protocol);
  passes(v4({.proto = 46}, zeros(8)));
  dropped(udp4(1, 19), SLUICE_DROP_port);
  passes(udp4(19, 1));
  passes(tcp4(kAck, 1, 19));
  for (unsigned port : {135u, 139u, 65535u}) dropped(tcp4(kAck, 1, port), SLUICE_DROP_port);
  dropped(tcp6(kAck, 1, 137), SLUICE_DROP_port);
  passes(tcp4(kAck, 1, 140));
  passes(v4({.frag = 7}, udp(1, 19)));  // a later fragment has no port
}

TEST_F(Verdict, TcpFlags) {
  set({.tcp_flags = true});
  for (unsigned flags = 0; flags < 64; flags++) {
    const auto f = static_cast<uint8_t>(flags);
    const int kinds = !!(f & kSyn) + !!(f & kFin) + !!(f & kRst);
    const bool bad = kinds > 1 || (!(f & kAck) && !(f & (kSyn | kRst)));
    const Octets frame = tcp4(f);
    if (bad) dropped(frame, SLUICE_DROP_tcp_flags);
    else passes(frame, f & kSyn && !(f & kAck) ? SLUICE_CLASS_NEW : SLUICE_CLASS_REST);
  }
}

TEST_F(Verdict, Control) {
  set(look);
  const auto control = [&](const Octets& f) { passes(f, SLUICE_CLASS_CONTROL); };
  control(eth(zeros(46), 0x0806));
  control(tagged(eth(zeros(46), 0x0806), {0x8100}));
  passes(eth(zeros(46), 0x88cc));
  control(icmp6(135, 255));
  passes(icmp6(135, 254));
  control(tcp4(kAck, 179, 50000));
  control(tcp6(kSyn, 50000, 179));
  control(udp4(50000, 3784, {.ttl = 255}));
  passes(udp4(50000, 3784));
  control(udp4(50000, 4784));
  control(v4({.proto = 112, .ttl = 255}, zeros(20)));
  passes(v4({.proto = 112}, zeros(20)));
  control(icmp4(8));
  control(icmp4(8, 100));
  passes(icmp4(8, 101));  // above 128 bytes of IP
  control(icmp4(3, 500));
  control(icmp6(2, 64, 1200));
  passes(v4({.proto = kIcmp, .frag = 4}, zeros(20)));
}

TEST_F(Verdict, EstablishedNewAndTheRest) {
  set(look);
  passes(tcp4(kSyn), SLUICE_CLASS_NEW);
  passes(tcp4(kAck), SLUICE_CLASS_REST);
  passes(udp6(), SLUICE_CLASS_REST);
  mark("198.18.1.10", "198.18.2.10", 40000, 80, kTcp);
  mark("2001:db8:1::10", "2001:db8:2::10", 4000, 5000, kUdp);
  mark("198.18.1.10", "198.18.2.10", 0, 0, 47);
  passes(tcp4(kAck), SLUICE_CLASS_ESTABLISHED);
  passes(udp6(), SLUICE_CLASS_ESTABLISHED);
  passes(v4({.proto = 47}, zeros(8)), SLUICE_CLASS_ESTABLISHED);
  passes(tcp4(kSyn), SLUICE_CLASS_NEW);
  passes(tcp4(kAck, 40001), SLUICE_CLASS_REST);
  passes(v4({.frag = 9}, zeros(20)), SLUICE_CLASS_REST);
  shed_->hints().turn();
  passes(tcp4(kAck), SLUICE_CLASS_ESTABLISHED);
  shed_->hints().turn();
  passes(tcp4(kAck), SLUICE_CLASS_REST);
}

TEST_F(Verdict, ClassesByRule) {
  set({.check_frames = true,
       .classes = {{.cls = SLUICE_CLASS_NEW, .prefix = parse_prefix("198.18.1.0/24"), .proto = kUdp, .ports =
       shed::PortRange{17, 500, 600}},
                   {.cls = SLUICE_CLASS_CONTROL, .prefix = parse_prefix("2001:db8:2::/48")},
                   {.cls = SLUICE_CLASS_ESTABLISHED, .dscp = 1ull << 46}}});
  passes(udp4(1, 550), SLUICE_CLASS_NEW);
  passes(udp4(1, 500), SLUICE_CLASS_NEW);
  passes(udp4(600, 1), SLUICE_CLASS_NEW);
  passes(udp4(499, 601), SLUICE_CLASS_REST);
  passes(udp4(1, 550, {.src = "198.18.2.1"}), SLUICE_CLASS_REST);
  passes(udp6(), SLUICE_CLASS_CONTROL);
  passes(udp4(1, 2, {.tos = 46 << 2 | 3}), SLUICE_CLASS_ESTABLISHED);
  passes(eth(zeros(46), 0x0806), SLUICE_CLASS_CONTROL);
}

TEST_F(Verdict, AmplifiersMayAnswerWhoAsked) {
  set({.amplifiers = {53, 11211}});
  dropped(udp4(53, 4444), SLUICE_DROP_amplification);
  dropped(udp6(11211, 4444), SLUICE_DROP_amplification);
  passes(udp4(4444, 53));
  mark("198.18.1.10", "198.18.2.10", 53, 4444, kUdp);
  passes(udp4(53, 4444), SLUICE_CLASS_ESTABLISHED);
}

TEST_F(Verdict, Icmp) {
  set({.icmp = {.per_second = 10, .burst = 3}, .icmp_max = 600});
  for (int i = 0; i < 3; i++) passes(icmp4(8), SLUICE_CLASS_CONTROL);
  dropped(icmp4(8), SLUICE_DROP_icmp, SLUICE_CLASS_CONTROL);
  passes(icmp6(135, 255), SLUICE_CLASS_CONTROL);  // neighbour discovery is not meant
  pass(Duration::millis(100));
  passes(icmp4(8), SLUICE_CLASS_CONTROL);
  dropped(icmp4(8), SLUICE_DROP_icmp, SLUICE_CLASS_CONTROL);
  pass(Duration::seconds(10));
  dropped(icmp4(8, 700), SLUICE_DROP_icmp);
  dropped(v4({.proto = kIcmp, .frag = 0x2000}, zeros(16)), SLUICE_DROP_icmp);
  same_rates();
}

TEST_F(Verdict, RatesOfPrefixes) {
  set({.source = {.per_second = 1000, .burst = 4},
       .destination = {.per_second = 1000, .burst = 6},
       .source_bits4 = 24});
  for (int i = 0; i < 4; i++) passes(udp4(1, 2, {.src = i % 2 ? "198.18.1.9" : "198.18.1.200"}));
  dropped(udp4(), SLUICE_DROP_source_rate);
  passes(udp4(1, 2, {.src = "198.18.7.1"}));
  passes(udp4(1, 2, {.src = "198.18.8.1"}));
  dropped(udp4(1, 2, {.src = "198.18.9.1"}), SLUICE_DROP_destination_rate);
  passes(udp4(1, 2, {.src = "198.18.9.1", .dst = "198.18.2.11"}));
  passes(icmp4(8), SLUICE_CLASS_CONTROL);  // control has its own
  pass(Duration::millis(1));
  passes(udp4(1, 2, {.src = "198.18.1.3", .dst = "198.18.2.12"}));
  dropped(udp4(1, 2, {.src = "198.18.1.3", .dst = "198.18.2.12"}), SLUICE_DROP_source_rate);
  for (int i = 0; i < 4; i++) passes(udp6());
  dropped(udp6(1, 2, {.src = "2001:db8:1::ffff"}), SLUICE_DROP_source_rate);  // of the same /64
}

TEST_F(Verdict, RatesOfClasses) {
  shed::Policy p;
  p.class_rate[SLUICE_CLASS_CONTROL] = {.per_second = 100, .burst = 2};
  p.class_rate[SLUICE_CLASS_REST] = {.per_second = 100, .burst = 3};
  set(p);
  const Octets arp = eth(zeros(46), 0x0806);
  passes(arp, SLUICE_CLASS_CONTROL);
  passes(arp, SLUICE_CLASS_CONTROL);
  passes(arp, SLUICE_CLASS_REST);  // above its rate it is nothing special
  passes(udp4());
  passes(udp4());
  dropped(udp4(), SLUICE_DROP_class_rate);
  dropped(arp, SLUICE_DROP_class_rate);
  passes(tcp4(kSyn), SLUICE_CLASS_NEW);
  pass(Duration::millis(10));
  passes(udp4());
  dropped(udp4(), SLUICE_DROP_class_rate);
  same_rates();
}

TEST_F(Verdict, SynRateOfADestination) {
  set({.syn = {.per_second = 100, .burst = 2}, .syn_always = true});
  passes(tcp4(kSyn), SLUICE_CLASS_NEW);
  passes(tcp4(kSyn), SLUICE_CLASS_NEW);
  dropped(tcp4(kSyn), SLUICE_DROP_syn_rate, SLUICE_CLASS_NEW);
  passes(tcp4(kSyn, 1, 81), SLUICE_CLASS_NEW);
  passes(tcp4(kSyn | kAck));
  passes(tcp6(kSyn), SLUICE_CLASS_NEW);
  set({.syn = {.per_second = 100, .burst = 2}});
  for (int i = 0; i < 9; i++) passes(tcp4(kSyn));
}

TEST_F(Verdict, TheLevelShedsClassByClass) {
  set({});
  mark("198.18.1.10", "198.18.2.10", 40000, 80, kTcp);
  const Octets of[] = {icmp4(8), tcp4(kAck), tcp4(kSyn), udp4()};
  const double band = SLUICE_BAND;
  for (uint32_t l : {1u, 100u, 255u, 256u, 300u, 511u, 512u, 600u, 767u, 768u, 5000u}) {
    level(l);
    const double want[] = {0, l <= 512 ? 0 : std::min(l - 512, 255u) / band, l <= 256 ? 0 : std::min(1., (l - 256) /
    band),
                           l == SLUICE_LEVEL_LOOK ? 0 : std::min(1., l / band)};
    for (unsigned c = 0; c < SLUICE_CLASSES; c++) {
      int shed = 0;
      const int n = 400;
      for (int i = 0; i < n; i++) {
        pass(Duration::nanos(1237 + i));
        const Judged j = both(of[c]);
        EXPECT_TRUE(j.outcome == SLUICE_OUT_REDIRECTED || j.outcome == SLUICE_DROP_overload);
        shed += j.outcome == SLUICE_DROP_overload;
      }
      EXPECT_NEAR(shed / double(n), want[c], want[c] == 0 || want[c] == 1 ? 0 : 0.1) << "level " << l << " class " << c;
    }
    pass(Duration::seconds(10));
  }
  no_other_count();
}

// However full the ring was the level before: what counts is how many frames wait now.
TEST_F(Verdict, TheGateGivesEachClassItsPartOfTheRing) {
  set({});
  mark("198.18.1.10", "198.18.2.10", 40000, 80, kTcp);
  const Octets of[] = {icmp4(8), tcp4(kAck), tcp4(kSyn), udp4()};
  const int most[] = {INT_MAX, 2048 - 128, 2048 - 512, 256};
  for (int waiting : {-64, 0, 255, 256, 1535, 1536, 1919, 1920, 2048, 5000}) {
    for (sluice_queue* q : {queue_, &own_queue_}) {
      q->room = 2048;
      q->rest = 256;
      q->taken = 1000000;
      q->handed = static_cast<uint64_t>(1000000 + waiting);
    }
    for (unsigned c = 0; c < SLUICE_CLASSES; c++)
      EXPECT_EQ(both(of[c]).outcome == SLUICE_OUT_REDIRECTED, waiting < most[c]) << waiting << " wait, class " << c;
  }
  queue_->room = own_queue_.room = 0;
  passes(udp4());
}

}  // namespace
}  // namespace sluice::test
