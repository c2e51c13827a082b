// Rules and sessions: what is permitted, what answers, what later fragments and ICMP errors may do, and what a
// change of the rules does to flows that are there.
#include "pipeline_fixture.h"

namespace sluice::test {
namespace {

using wire::kTcpAck, wire::kTcpFin, wire::kTcpRst, wire::kTcpSyn;

class Filter : public PipelineTest {
 protected:
  Octets fragment(unsigned id, unsigned offset, bool more, const Octets& payload, std::string_view src = kA4,
                  std::string_view dst = kB4, uint8_t proto = 17) {
    V4 h;
    h.src = src, h.dst = dst, h.proto = proto, h.id = id;
    h.frag = offset / 8 | (more ? 0x2000 : 0);
    return ip4(h, payload);
  }
  static Octets echo4(std::string_view src, std::string_view dst, uint8_t type, unsigned id) {
    V4 h;
    h.src = src, h.dst = dst, h.proto = 1;
    return ip4(h, icmp(type, 0, words({id, 1}), pattern(20)));
  }
};

TEST_F(Filter, DefaultIsDenyAndDeniedFlowsAreRemembered) {
  filter({permit_ab("dns", 17, false, {{53, 53}})});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  for (int i = 0; i < 3; i++) expect_dropped(kA, udp4(kA4, kB4, 1000, 54), DropReason::default_deny);
  EXPECT_EQ(pipeline->flows(), 2u);
  EXPECT_EQ(snapshot.filter.rules->sum(0).packets, 1u);
  EXPECT_EQ(snapshot.filter.rules->sum(RuleSet::kDefault).packets, 3u);
}

TEST_F(Filter, EveryPacketCountsForItsRule) {
  filter({permit_ab("udp", 17, true)});
  const Octets p = udp4(kA4, kB4);
  for (int i = 0; i < 5; i++) expect_forwarded(kA, p, kB);
  expect_forwarded(kB, udp4(kB4, kA4, 2000, 1000), kA);
  EXPECT_EQ(snapshot.filter.rules->sum(0).packets, 6u);
  EXPECT_EQ(snapshot.filter.rules->sum(0).bytes, 6 * p.size());
}

TEST_F(Filter, FirstMatchWins) {
  Rule no = permit_ab("no telnet", 6, false, {{23, 23}});
  no.action = RuleAction::deny;
  filter({no, permit_ab("tcp", 6, false)});
  expect_dropped(kA, tcp4(kA4, kB4, 1000, 23, kTcpAck), DropReason::rule_deny);
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 24, kTcpAck), kB);
}

// Only the box's walk ends there: a host may well go on and find the port that is denied.
TEST_F(Filter, PortsBehindASecondFragmentHeaderOrAVeryLongChainCountAsDenied) {
  Rule no = permit_ab("no smb", 6, false, {{445, 445}});
  no.action = RuleAction::deny;
  filter({no, rule("rest", RuleAction::permit)});
  const Octets segment = tcp(1000, 445, kTcpSyn);
  const Octets twice = frag6(44, 0, false) + frag6(6, 0, false);
  expect_dropped(kA, ip6({.next = 44}, twice + segment), DropReason::rule_deny);
  Octets chain;
  for (int i = 0; i < 17; i++) chain = chain + ext(i < 16 ? 60 : 6, {});
  expect_dropped(kA, ip6({.next = 60}, chain + segment), DropReason::rule_deny);
  expect_forwarded(kA, ip6({.next = 44}, frag6(6, 0, false) + tcp(1000, 446, kTcpSyn)), kB);
}

TEST_F(Filter, RulesAreForForwardedPacketsAlone) {
  filter({});
  for (int i = 0; i < 3; i++) {
    in(kA, udp4(kA4, "198.18.1.1"));
    EXPECT_EQ(out.stack.size(), 1u);
  }
  EXPECT_EQ(snapshot.filter.rules->sum(RuleSet::kDefault).packets, 0u) << "the default decided nothing";
  in(kA, fragment(1, 0, true, zeros(8), kA4, "198.18.1.1", 6));
  EXPECT_EQ(out.stack.size(), 1u) << "tiny fragments to the box are the stack's affair";
}

TEST_F(Filter, RejectDrawsAnErrorOrAReset) {
  Rule u = permit_ab("no snmp", 17, false, {{161, 161}}), t = permit_ab("no ident", 6, false, {{113, 113}});
  u.action = t.action = RuleAction::reject;
  filter({u, t});
  for (int i = 0; i < 2; i++) {
    expect_error(kA, udp4(kA4, kB4, 1000, 161), 3, 13, DropReason::rule_reject);
    expect_error(kA, udp6(kA6, kB6, 1000, 161), 1, 1, DropReason::rule_reject);
    in(kA, tcp4(kA4, kB4, 1000, 113, kTcpSyn));
    ASSERT_EQ(out.sent.size(), 1u);
    const Octets& f = out.sent[0].frame;
    EXPECT_EQ(out.sent[0].port, kA);
    EXPECT_EQ(f[23], 6);
    EXPECT_EQ(Octets(f.begin() + 26, f.begin() + 34), of(a4(kB4)) + of(a4(kA4))) << "from the destination's address";
    EXPECT_EQ(get16(f, 34), 113u);
    EXPECT_EQ(f[47] & kTcpRst, kTcpRst);
  }
}

TEST_F(Filter, DeniedPacketsDrawNoErrorAboutTheirTtl) {
  filter({});
  V4 h;
  h.ttl = 1;
  expect_dropped(kA, udp4(kA4, kB4, 1, 2, pattern(18), h), DropReason::default_deny);
}

TEST_F(Filter, RepliesPassAStatefulRuleAndNothingElseDoes) {
  filter({permit_ab("out", 17, true, {{53, 53}})});
  expect_dropped(kB, udp4(kB4, kA4, 53, 1000), DropReason::default_deny, "before the request");
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  for (int i = 0; i < 3; i++) expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA, "the answer, though it was denied before");
  expect_dropped(kB, udp4(kB4, kA4, 53, 1001), DropReason::default_deny, "another port");
  expect_dropped(kB, udp4("198.18.2.11", kA4, 53, 1000), DropReason::default_deny, "another host");
  expect_dropped(kC, udp4(kB4, kA4, 53, 1000), DropReason::default_deny, "through another port of the box");
  const auto all = flows();
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](auto& f) { return f.reply && f.rule == "out"; }), 1);

  filter({permit_ab("out", 17, false, {{53, 53}})});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_dropped(kB, udp4(kB4, kA4, 53, 1000), DropReason::default_deny, "stateless");
}

TEST_F(Filter, RepliesPassForIpv6) {
  filter({permit_ab("out", 17, true)});
  expect_forwarded(kA, udp6(kA6, kB6, 1000, 53), kB);
  for (int i = 0; i < 2; i++) expect_forwarded(kB, udp6(kB6, kA6, 53, 1000), kA);
  expect_dropped(kB, udp6(kB6, kA6, 54, 1000), DropReason::default_deny);
}

TEST_F(Filter, EchoRepliesPassByIdentifier) {
  filter({permit_ab("ping", 1, true)});
  expect_forwarded(kA, echo4(kA4, kB4, 8, 77), kB);
  expect_forwarded(kB, echo4(kB4, kA4, 0, 77), kA);
  expect_dropped(kB, echo4(kB4, kA4, 0, 78), DropReason::default_deny);
  expect_dropped(kB, echo4(kB4, kA4, 8, 77), DropReason::default_deny, "a request is no reply");
}

TEST_F(Filter, ErrorsAboutASessionPass) {
  filter({permit_ab("out", 17, true)});
  auto error = [&](const Octets& about, std::string_view from = "198.18.2.11", std::string_view to = kA4) {
    V4 h;
    h.src = from, h.dst = to, h.proto = 1;
    return ip4(h, icmp(3, 4, words({0, 1400}), about));
  };
  const Octets sent = udp4(kA4, kB4, 1000, 53);
  expect_dropped(kB, error(sent), DropReason::default_deny, "no session yet");
  expect_forwarded(kA, sent, kB);
  expect_forwarded(kB, error(sent), kA);
  expect_dropped(kB, error(udp4(kA4, kB4, 1001, 53)), DropReason::default_deny, "about a packet that was never sent");
  expect_dropped(kB, error(sent, "198.18.2.11", "198.18.1.11"), DropReason::default_deny, "to somebody else");
  expect_dropped(kC, error(udp4(kB4, kA4, 53, 1000)), DropReason::default_deny);
  expect_forwarded(kB, error(sent), kA, "still");

  expect_forwarded(kA, udp6(kA6, kB6, 1000, 53), kB);
  V6 h;
  h.src = "2001:db8:2::11", h.dst = kA6, h.next = 58;
  expect_forwarded(kB, ip6(h, icmp(2, 0, words({0, 1280}), udp6(kA6, kB6, 1000, 53))), kA);
  expect_dropped(kB, ip6(h, icmp(2, 0, words({0, 1280}), udp6(kA6, kB6, 1000, 54))), DropReason::default_deny);
}

TEST_F(Filter, SessionsAreJudgedAgainByTheirOriginalDirection) {
  filter({permit_ab("out", 17, true)});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA);

  filter({permit_ab("only dns", 17, true, {{53, 53}})});
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA, "the answer first: the request's tuple is still permitted");
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);

  filter({permit_ab("no dns", 17, true, {{54, 54}})});
  expect_dropped(kB, udp4(kB4, kA4, 53, 1000), DropReason::default_deny, "the session is over, seen by its answer");
  expect_dropped(kA, udp4(kA4, kB4, 1000, 53), DropReason::default_deny);

  filter({permit_ab("out", 17, true)});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  filter({permit_ab("no dns", 17, true, {{54, 54}})});
  expect_dropped(kA, udp4(kA4, kB4, 1000, 53), DropReason::default_deny, "and by its request");
  expect_dropped(kB, udp4(kB4, kA4, 53, 1000), DropReason::default_deny);
}

TEST_F(Filter, RulesThatGoAwayLeaveAPlainRouter) {
  filter({permit_ab("out", 17, true)});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_dropped(kB, udp4(kB4, kA4, 9, 9), DropReason::default_deny);
  snapshot.filter.rules = nullptr;
  snapshot.filter_generation++;
  snapshot.id++;
  expect_forwarded(kB, udp4(kB4, kA4, 9, 9), kA);
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA);
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
}

TEST_F(Filter, ARouteChangeMovesTheSessionAndItsRule) {
  Rule to_c = permit_ab("to c", 17, true);
  to_c.out_ports = {kC};
  filter({permit_ab("to b", 17, true, {{53, 53}}), to_c});
  expect_forwarded(kA, udp4(kA4, "198.18.70.1", 1000, 53), kB);
  expect_forwarded(kB, udp4("198.18.70.1", kA4, 53, 1000), kA);
  route("198.18.70.0/24", group(Kind::forward, {{kC, a4(kC4)}}));
  build_routes();
  expect_forwarded(kA, udp4(kA4, "198.18.70.1", 1000, 53), kC);
  expect_forwarded(kC, udp4("198.18.70.1", kA4, 53, 1000), kA, "answers come through the new way");
  expect_dropped(kB, udp4("198.18.70.1", kA4, 53, 1000), DropReason::default_deny, "and no more through the old one");
  EXPECT_EQ(snapshot.filter.rules->sum(1).packets, 2u);
}

TEST_F(Filter, AnswersMayComeThroughAnyPortOfTheRouteBack) {
  Rule any = permit_ab("out", 17, true);
  any.out_ports.clear();
  filter({any});
  unsigned b = 0, c = 0;
  for (unsigned k = 0; k < 20; k++) {
    in(kA, udp4(kA4, "198.18.98.1", 1000 + k, 53));
    ASSERT_EQ(out.sent.size(), 1u);
    (out.sent[0].port == kB ? b : c)++;
    expect_forwarded(kB, udp4("198.18.98.1", kA4, 53, 1000 + k), kA);
    expect_forwarded(kC, udp4("198.18.98.1", kA4, 53, 1000 + k), kA);
  }
  EXPECT_GT(b, 0u);
  EXPECT_GT(c, 0u);
}

TEST_F(Filter, TcpSessionsArePickedUpAndClose) {
  filter({permit_ab("out", 6, true)});
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpAck), kB, "no SYN needed");
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpAck), kA);
  later(Duration::seconds(3600));
  pipeline->sweep(now, 100000);
  EXPECT_EQ(flows().size(), 2u) << "an open connection may be idle for two hours";
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpAck | kTcpFin), kB);
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpAck | kTcpFin), kA);
  later(Duration::seconds(121));
  pipeline->sweep(now, 100000);
  EXPECT_EQ(flows().size(), 0u);
}

TEST_F(Filter, AClosedTcpSessionIsNotReopenedFromOutside) {
  filter({permit_ab("out", 6, true)});
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpSyn), kB);
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpSyn | kTcpAck), kA);
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpRst), kB);
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpSyn), kB, "by the original direction it is");
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpSyn | kTcpAck), kA);
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpRst), kA);
  expect_dropped(kB, tcp4(kB4, kA4, 80, 1000, kTcpSyn), DropReason::default_deny);
}

TEST_F(Filter, HalfOpenTcpSessionsDoNotLast) {
  filter({permit_ab("out", 6, true)});
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpSyn), kB);
  later(Duration::seconds(121));
  pipeline->sweep(now, 100000);
  EXPECT_EQ(flows().size(), 0u);
}

TEST_F(Filter, BothDirectionsAgeTogether) {
  filter({permit_ab("out", 17, true)});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  for (int i = 0; i < 5; i++) {  // one-way traffic keeps the way back open
    later(Duration::seconds(100));
    pipeline->sweep(now, 100000);
    expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  }
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA);
  later(Duration::seconds(181));
  pipeline->sweep(now, 100000);
  EXPECT_EQ(pipeline->flows(), 0u);
}

TEST_F(Filter, AFloodOfNewFlowsEndsNoAnsweredSession) {
  config.flows4 = 64;
  restart();
  filter({permit_ab("out", 17, true)});
  for (unsigned i = 0; i < 10; i++) {
    expect_forwarded(kA, udp4(kA4, kB4, 1000 + i, 53), kB);
    expect_forwarded(kB, udp4(kB4, kA4, 53, 1000 + i), kA);
  }
  later(Duration::seconds(5));
  for (unsigned i = 0; i < 2000; i++) in(kA, udp4(kA4, kB4, 2000 + i, 53));
  for (unsigned i = 0; i < 2000; i++) in(kA, udp4(kA4, kC4, 2000 + i, 53));  // denied
  for (unsigned i = 0; i < 10; i++) expect_forwarded(kB, udp4(kB4, kA4, 53, 1000 + i), kA);
}

TEST_F(Filter, NewSessionsAreRefusedWhenAllAreAnswered) {
  config.flows4 = 16;
  restart();
  filter({permit_ab("out", 17, true)});
  unsigned forwarded = 0;
  for (unsigned i = 0; i < 200; i++) {
    in(kA, udp4(kA4, kB4, 1000 + i, 53));
    if (out.sent.empty()) continue;
    forwarded++;
    expect_forwarded(kB, udp4(kB4, kA4, 53, 1000 + i), kA);
  }
  EXPECT_LE(forwarded, pipeline->flow_capacity() / 2);
  EXPECT_GT(forwarded, 8u);
  EXPECT_EQ(drops(DropReason::flow_table_full), 200 - forwarded);
}

TEST_F(Filter, TinyFragmentsAreDropped) {
  filter({permit_ab("all", 6, false), permit_ab("udp", 17, false), permit_ab("icmp", 1, false)});
  auto v6 = [](uint8_t proto, unsigned off, bool more, const Octets& payload) {
    V6 h;
    h.src = kA6, h.dst = kB6, h.next = 44;
    return ip6(h, frag6(proto, off, more) + payload);
  };
  for (int i = 0; i < 2; i++) {
    expect_dropped(kA, fragment(1, 8, false, zeros(40), kA4, kB4, 6), DropReason::fragment_tiny, "TCP at 8");
    expect_dropped(kA, fragment(1, 0, true, zeros(16), kA4, kB4, 6), DropReason::fragment_tiny, "TCP header in pieces");
    expect_dropped(kA, v6(6, 8, false, zeros(40)), DropReason::fragment_tiny, "TCP at 8");
    expect_dropped(kA, v6(6, 0, true, zeros(16)), DropReason::fragment_tiny);
    expect_dropped(kA, v6(60, 0, true, Octets{6, 1} + zeros(6)), DropReason::fragment_tiny, "RFC 7112");
    expect_dropped(kA, v6(60, 8, false, zeros(40)), DropReason::fragment_tiny, "a hidden protocol counts as TCP");
    expect_forwarded(kA, fragment(2, 16, false, zeros(40), kA4, kB4, 6), kB);
  }
  snapshot.filter.drop_tiny_fragments = false;
  snapshot.id++;
  expect_forwarded(kA, fragment(1, 8, false, zeros(40), kA4, kB4, 6), kB);
}

TEST_F(Filter, LaterFragmentsByTheRulesAlone) {
  Rule no = permit_ab("no telnet", 6, false, {{23, 23}});
  no.action = RuleAction::deny;
  filter({permit_ab("marker", 17, false, {{47000, 47000}}), no, permit_ab("gre", 47, false), permit_ab("tcp", 6, false)});
  expect_forwarded(kA, fragment(1, 0, true, udp(1, 47000, pattern(80))), kB);
  expect_dropped(kA, fragment(1, 88, false, pattern(80)), DropReason::default_deny, "a permit that names ports");
  expect_dropped(kA, fragment(1, 88, false, pattern(80), kA4, kB4, 6), DropReason::rule_deny, "a deny that names ports");
  expect_forwarded(kA, fragment(1, 88, false, pattern(80), kA4, kB4, 47), kB);
}

TEST_F(Filter, LaterFragmentsFollowTheirFirstOneThroughAStatefulRule) {
  filter({permit_ab("marker", 17, true, {{47000, 47000}})});
  expect_dropped(kA, fragment(1, 88, false, pattern(80)), DropReason::default_deny, "before the first");
  for (unsigned id : {1u, 2u}) {
    expect_forwarded(kA, fragment(id, 0, true, udp(1, 47000, pattern(80))), kB);
    expect_forwarded(kA, fragment(id, 88, false, pattern(80)), kB);
  }
  expect_dropped(kA, fragment(3, 88, false, pattern(80)), DropReason::default_deny, "another datagram");
  expect_dropped(kA, fragment(1, 88, false, pattern(80), kA4, kB4, 6), DropReason::default_deny, "another protocol");

  // Both at once: the first one opens the way before the later one is judged.
  burst(kA, {frame(kA, fragment(9, 0, true, udp(1, 47000, pattern(80)))), frame(kA, fragment(9, 88, false, pattern(80)))});
  EXPECT_EQ(out.sent.size(), 2u);

  later(Duration::seconds(31));
  expect_dropped(kA, fragment(1, 88, false, pattern(80)), DropReason::default_deny, "too late");
}

TEST_F(Filter, FragmentedAnswersPass) {
  filter({permit_ab("dns", 17, true, {{53, 53}})});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_forwarded(kB, fragment(5, 0, true, udp(53, 1000, pattern(80)), kB4, kA4), kA);
  expect_forwarded(kB, fragment(5, 88, false, pattern(80), kB4, kA4), kA);
  expect_dropped(kB, fragment(6, 0, true, udp(53, 1001, pattern(80)), kB4, kA4), DropReason::default_deny);
  expect_dropped(kB, fragment(6, 88, false, pattern(80), kB4, kA4), DropReason::default_deny);

  V6 h;
  h.src = kB6, h.dst = kA6, h.next = 44;
  expect_forwarded(kA, udp6(kA6, kB6, 1000, 53), kB);
  expect_forwarded(kB, ip6(h, frag6(17, 0, true, 99) + udp(53, 1000, pattern(80))), kA);
  expect_forwarded(kB, ip6(h, frag6(17, 88, false, 99) + pattern(80)), kA);
  expect_dropped(kB, ip6(h, frag6(17, 88, false, 98) + pattern(80)), DropReason::default_deny);
}

TEST_F(Filter, TwoPacketsOfANewFlowInOneBurstMakeOneSession) {
  filter({permit_ab("out", 17, true)});
  const Octets f = frame(kA, udp4(kA4, kB4, 1000, 53));
  burst(kA, {f, f, f});
  EXPECT_EQ(out.sent.size(), 3u);
  EXPECT_EQ(pipeline->flows(), 2u);
}

TEST_F(Filter, VerdictsNameTheRule) {
  filter({permit_ab("out", 17, true)});
  std::vector<std::string> rules;
  pipeline->verdicts = [&](const rte_mbuf*, const path::Verdict& v) { rules.push_back(v.rule ? *v.rule : "-"); };
  in(kA, udp4(kA4, kB4));
  in(kA, udp4(kA4, kB4));
  in(kB, udp4(kB4, kA4, 2000, 1000));
  in(kB, udp4(kB4, kA4, 2000, 1001));
  EXPECT_EQ(rules, (std::vector<std::string>{"out", "out", "out", "-"}));
}

}  // namespace
}  // namespace sluice::test
