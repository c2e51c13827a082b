// Which flows are marked as established for the verdict in front of the ports, and for how long.
#include <memory>

#include "pipeline_fixture.h"

namespace sluice::test {
namespace {

using wire::kTcpAck, wire::kTcpRst, wire::kTcpSyn;

class Hints : public PipelineTest {
 protected:
  Hints() {
    config.hints = &hints;
    restart();
  }
  static uint16_t raw16(unsigned v) { return be16::from(static_cast<uint16_t>(v)).raw(); }
  bool marked(std::string_view src, std::string_view dst, unsigned sport, unsigned dport, uint8_t proto = 17) {
    return hints.marked(*parse_ip(std::string(src)), *parse_ip(std::string(dst)), raw16(sport), raw16(dport), proto);
  }
  // Marked as its packets arrive, both ways.
  bool both(std::string_view a, std::string_view b, unsigned aport, unsigned bport, uint8_t proto = 17) {
    return marked(a, b, aport, bport, proto) && marked(b, a, bport, aport, proto);
  }
  bool neither(std::string_view a, std::string_view b, unsigned aport, unsigned bport, uint8_t proto = 17) {
    return !marked(a, b, aport, bport, proto) && !marked(b, a, bport, aport, proto);
  }
  // The whole table.
  void sweep() {
    for (size_t done = 0; done < pipeline->flow_capacity() + 4096; done += 1024) pipeline->sweep(now, 4096);
  }
  // As often as it takes for what is not marked again to fade.
  void fade() {
    hints.turn();
    hints.turn();
  }

  std::unique_ptr<sluice_hints> memory = std::make_unique<sluice_hints>();
  FlowHints hints{memory.get(), 1, 2};
};

TEST_F(Hints, ASessionIsMarkedBothWaysWhenItIsAnswered) {
  filter({permit_ab("udp", 17, true)});
  for (int i = 0; i < 3; i++) expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  EXPECT_FALSE(marked(kA4, kB4, 1000, 53)) << "nobody has answered";
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA);
  EXPECT_TRUE(both(kA4, kB4, 1000, 53));
  EXPECT_TRUE(neither(kA4, kB4, 1001, 53));
  EXPECT_TRUE(neither(kA4, kB4, 1000, 53, 6));
}

// Else no handshake would get through while the rest is shed. Who sends SYNs has proven nothing: his own direction is not
// marked, and there is a limit.
TEST_F(Hints, ASynMarksItsAnswerAndNoMore) {
  for (const bool rules : {false, true}) {
    const unsigned port = rules ? 1000 : 1001;
    if (rules) filter({permit_ab("tcp", 6, true)});
    expect_forwarded(kA, tcp4(kA4, kB4, port, 80, kTcpAck), kB);
    EXPECT_TRUE(neither(kA4, kB4, port, 80, 6)) << "no SYN";
    expect_forwarded(kA, tcp4(kA4, kB4, port + 10, 80, kTcpSyn), kB);
    EXPECT_TRUE(marked(kB4, kA4, 80, port + 10, 6));
    EXPECT_FALSE(marked(kA4, kB4, port + 10, 80, 6));
    expect_forwarded(kB, tcp4(kB4, kA4, 80, port + 10, kTcpSyn | kTcpAck), kA);
    EXPECT_TRUE(both(kA4, kB4, port + 10, 80, 6));
  }
}

TEST_F(Hints, AnswersThatAreExpectedAreLimited) {
  const unsigned most = FlowHints::kExpectedBurst;
  unsigned n = 0;
  for (unsigned port = 1000; port < 1000 + 2 * most; port++) {
    expect_forwarded(kA, tcp4(kA4, kB4, port, 80, kTcpSyn), kB);
    n += marked(kB4, kA4, 80, port, 6);
  }
  EXPECT_EQ(n, most);
  later(Duration::millis(1));
  expect_forwarded(kA, tcp4(kA4, kB4, 999, 80, kTcpSyn), kB);
  EXPECT_TRUE(marked(kB4, kA4, 80, 999, 6)) << "ten a millisecond";
}

// Else the answer to a DNS query would be taken for an amplifier's.
TEST_F(Hints, ADatagramOfANewFlowMarksItsAnswerAndNoMore) {
  for (const bool rules : {false, true}) {
    const unsigned port = rules ? 1000 : 1001;
    if (rules) filter({permit_ab("udp", 17, true)});
    expect_forwarded(kA, udp4(kA4, kB4, port, 53), kB);
    EXPECT_TRUE(marked(kB4, kA4, 53, port));
    EXPECT_FALSE(marked(kA4, kB4, port, 53));
    fade();
    expect_forwarded(kA, udp4(kA4, kB4, port, 53), kB);
    EXPECT_TRUE(neither(kA4, kB4, port, 53)) << "not each packet";
  }
}

TEST_F(Hints, DatagramsAndSynsHaveALimitEach) {
  const unsigned most = FlowHints::kExpectedBurst;
  unsigned n = 0;
  for (unsigned port = 1000; port < 1000 + 2 * most; port++) {
    expect_forwarded(kA, udp4(kA4, kB4, port, 53), kB);
    n += marked(kB4, kA4, 53, port);
  }
  EXPECT_EQ(n, most);
  for (int i = 0; i < 100; i++) expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_forwarded(kA, tcp4(kA4, kB4, 999, 80, kTcpSyn), kB);
  EXPECT_TRUE(marked(kB4, kA4, 80, 999, 6)) << "a flood of datagrams leaves TCP its part";
  later(Duration::millis(1));
  expect_forwarded(kA, udp4(kA4, kB4, 999, 53), kB);
  EXPECT_TRUE(marked(kB4, kA4, 53, 999));
}

TEST_F(Hints, OfIPv6Too) {
  filter({permit_ab("udp", 17, true)});
  expect_forwarded(kA, udp6(kA6, kB6, 1000, 53), kB);
  EXPECT_TRUE(marked(kB6, kA6, 53, 1000));
  EXPECT_FALSE(marked(kA6, kB6, 1000, 53));
  expect_forwarded(kB, udp6(kB6, kA6, 53, 1000), kA);
  EXPECT_TRUE(both(kA6, kB6, 1000, 53));
}

TEST_F(Hints, APlainRoutersFlowIsEstablishedWhenBothDirectionsHaveBeenSeen) {
  for (int i = 0; i < 100; i++) expect_forwarded(kA, udp4(kA4, kB4), kB);
  EXPECT_FALSE(marked(kA4, kB4, 1000, 2000)) << "one direction, however many packets";
  expect_forwarded(kB, udp4(kB4, kA4, 2000, 1000), kA);
  EXPECT_TRUE(both(kA4, kB4, 1000, 2000));
}

TEST_F(Hints, StatelessRulesMakeCachedFlowsToo) {
  Rule back = permit_ab("back", 17, false);
  std::swap(back.in_ports, back.out_ports);
  filter({permit_ab("out", 17, false), back});
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  expect_forwarded(kB, udp4(kB4, kA4, 2000, 1000), kA);
  EXPECT_TRUE(both(kA4, kB4, 1000, 2000));
}

// The answer may come and be denied: that is nobody's established flow.
TEST_F(Hints, WhatRulesDenyIsNoAnswer) {
  filter({permit_ab("out", 17, false)});
  expect_dropped(kB, udp4(kB4, kA4, 2000, 1000), DropReason::default_deny);
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  fade();  // it was expected
  expect_dropped(kB, udp4(kB4, kA4, 2000, 1000), DropReason::default_deny);
  EXPECT_TRUE(neither(kA4, kB4, 1000, 2000));
}

TEST_F(Hints, LiveFlowsAreMarkedAgainInEachGeneration) {
  Rule tcp = permit_ab("tcp", 6, true);
  Rule rest = rule("rest", RuleAction::permit);
  rest.stateful = false;
  filter({tcp, rest});
  expect_forwarded(kA, tcp4(kA4, kB4, 1000, 80, kTcpSyn), kB);
  expect_forwarded(kB, tcp4(kB4, kA4, 80, 1000, kTcpSyn | kTcpAck), kA);
  expect_forwarded(kA, udp4(kA4, kB4), kB);
  expect_forwarded(kB, udp4(kB4, kA4, 2000, 1000), kA);
  for (int generation = 0; generation < 5; generation++) {
    later(Duration::seconds(10));
    hints.turn();
    sweep();
    EXPECT_TRUE(both(kA4, kB4, 1000, 80, 6)) << generation;
    EXPECT_TRUE(both(kA4, kB4, 1000, 2000)) << generation;
  }
  // A cached flow's life is a minute; a session's is the configuration's.
  later(Duration::seconds(60));
  sweep();
  fade();
  sweep();
  EXPECT_TRUE(both(kA4, kB4, 1000, 80, 6));
  EXPECT_TRUE(neither(kA4, kB4, 1000, 2000));
}

TEST_F(Hints, EndedFlowsFade) {
  filter({permit_ab("udp", 17, true)});
  expect_forwarded(kA, udp4(kA4, kB4, 1000, 53), kB);
  expect_forwarded(kB, udp4(kB4, kA4, 53, 1000), kA);
  hints.turn();
  EXPECT_TRUE(both(kA4, kB4, 1000, 53)) << "it lasts a generation longer";
  later(config.idle_udp + Duration::seconds(1));
  sweep();
  hints.turn();
  sweep();
  EXPECT_TRUE(neither(kA4, kB4, 1000, 53));
}

TEST_F(Hints, WrongOnesAreCountedWhileSomethingIsShed) {
  const auto mark = [&](unsigned port) {
    hints.mark(*parse_ip(std::string(kA4)), *parse_ip(std::string(kB4)), raw16(port), raw16(2000), 17);
  };
  mark(1000);
  mark(1001);
  expect_forwarded(kA, udp4(kA4, kB4, 1000), kB);
  EXPECT_EQ(pipeline->false_hints(), 0u) << "nothing is shed";
  pipeline->shedding(true);
  expect_forwarded(kA, udp4(kA4, kB4, 1000), kB);
  EXPECT_EQ(pipeline->false_hints(), 0u) << "a flow of ours";
  expect_forwarded(kA, udp4(kA4, kB4, 1001), kB);
  EXPECT_EQ(pipeline->false_hints(), 1u);
  expect_forwarded(kA, udp4(kA4, kB4, 1002), kB);
  EXPECT_EQ(pipeline->false_hints(), 1u) << "not marked";
}

}  // namespace
}  // namespace sluice::test
