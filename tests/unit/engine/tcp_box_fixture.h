// A box with TCP in virtual time: a peer of hand-made segments on its lan port, and applications inside.
#pragma once

#include "apps/host.h"
#include "apps/small.h"
#include "box_fixture.h"
#include "tcp_frames.h"

namespace sluice::test {

using engine::Box;
using engine::BoxOptions;

inline constexpr uint8_t kSyn = wire::kTcpSyn, kAck = wire::kTcpAck, kFin = wire::kTcpFin, kRst = wire::kTcpRst,
                  kPsh = wire::kTcpPsh;
inline constexpr uint16_t kEcho = 7;

inline app::Endpoint at_port(uint16_t port) {
  app::Endpoint e;
  e.port = port;
  return e;
}

inline apps::ServiceConfig echo_config() {
  apps::ServiceConfig c;
  c.name = "echo";
  c.listen = {at_port(kEcho)};
  c.connections = 256;
  return c;
}

// Opens one connection, sends `bytes` of a pattern, takes what comes, and closes when all of it has come back.
class Client final : public apps::Service {
 public:
  Client(const IpAddr& to, uint16_t port, size_t bytes) : Service({.name = "client", .listen = {}}, 1, nullptr), left_(bytes) {
    std::copy(to.b.begin(), to.b.end(), std::begin(to_.address.bytes));
    to_.address.family = to.family;
    to_.port = port;
    for (size_t i = 0; i < sent_.size(); i++) sent_[i] = static_cast<uint8_t>(i * 7 + i / 256);
  }
  void start(app::Api& api) override { outcome = api.connect(to_, {}, {}, 0, conn_); }
  void events(app::Api& api, std::span<const app::Event> batch) override {
    for (const app::Event& e : batch) {
      last = e.kind;
      failure = e.failure;
      connected |= e.kind == app::Kind::connected;
      if (e.kind == app::Kind::data) {
        received.insert(received.end(), e.bytes, e.bytes + e.length);
        api.done(conn_, e.buffer, e.length);
      }
      over |= e.kind == app::Kind::closed || e.kind == app::Kind::failed;
    }
    if (connected && !over) send(api);
    if (connected && received.size() >= total_ && !shut_) shut_ = api.shutdown(conn_) == app::Outcome::ok;
  }
  bool finished() const override { return true; }
  void abandon(app::Api&) override {}

  bool right() const {
    for (size_t i = 0; i < received.size(); i++)
      if (received[i] != sent_[i % sent_.size()]) return false;
    return true;
  }

  app::Outcome outcome = app::Outcome::invalid;
  app::Failure failure = app::Failure::none;
  app::Kind last = app::Kind::connected;
  bool connected = false, over = false;
  Frame received;

 private:
  void send(app::Api& api) {
    while (left_ > 0) {
      const size_t at = (total_ - left_) % sent_.size();
      const auto n = static_cast<uint32_t>(std::min({left_, sent_.size() - at, size_t{api.send_room(conn_)}}));
      const app::Slice s{.bytes = sent_.data() + at, .length = n};
      if (n == 0 || api.send(conn_, {&s, 1}) != app::Outcome::ok) return;
      left_ -= n;
    }
  }
  app::Endpoint to_;
  app::Conn conn_;
  std::array<uint8_t, 8192> sent_;
  size_t left_;
  const size_t total_ = left_;
  bool shut_ = false;
};

class TcpBoxTest : public BoxTest {
 protected:
  const IpAddr own4 = kLanBox, host4 = kLanHost, own6 = *parse_ip("2001:db8:1::1"), host6 = *parse_ip("2001:db8:1::10");

  void make_with_tcp(unsigned stacks = 1, unsigned workers = 1) {
    BoxOptions o;
    o.virtual_time = true;
    o.worker_cpus.assign(workers, 0);
    o.stack_cpus.assign(stacks, 0);
    o.stack.tcp.limits.half_open = 64;
    o.stack.tcp.limits.cookie_mark = 32;
    make(o, {workers, workers});
    publish_six(*box);
    settle();
    introduce_hosts();
    drain();
  }
  void publish_six(Box& b) {
    auto s = std::make_shared<path::Snapshot>(*router_snapshot(2, true));
    auto ifs = std::make_shared<Interfaces>(*s->interfaces);
    ifs->neighbors = {{.port = 0, .addr = host6, .mac = kLanHostMac}};
    s->interfaces = ifs;
    b.publish(s);
  }
  void drain() {
    for (FakePort* p : {lan, wan})
      for (unsigned q = 0; q < p->info().tx_queues; q++)
        while (!p->take(q).empty()) {
        }
  }
  void start(Box& b, unsigned stack, apps::Service& s) {
    apps::Update u;
    u.start = {&s};
    ASSERT_TRUE(b.run_on_stack(stack, [&](stack::HostStack&, apps::Host& h) { EXPECT_TRUE(h.submit(&u)); }));
    settle();
    ASSERT_TRUE(u.taken());
  }
  // An echo service on every stack engine of `b`.
  void serve_echo(Box& b) {
    for (unsigned e = 0; e < b.stacks(); e++) {
      services.push_back(std::make_unique<apps::Echo>(echo_config(), 0, nullptr));
      start(b, e, *services.back());
      EXPECT_EQ(services.back()->counters()->listen_failures.get(), 0u);
    }
  }
  uint32_t connections(unsigned stack) {
    uint32_t n = 0;
    box->run_on_stack(stack, [&](stack::HostStack& s, apps::Host&) { n = s.tcp().stack().sizes().connections; });
    return n;
  }
  // --- the peer
  void feed(const Segment& s, unsigned queue = 0) { lan->feed(tcp_frame(kLanMac, kLanHostMac, s), queue); }
  std::optional<Segment> next() {
    for (unsigned q = 0; q < lan->info().tx_queues; q++)
      while (true) {
        const Frame f = lan->take(q);
        if (f.empty()) break;
        if (auto s = segment_of(f)) return s;
      }
    return std::nullopt;
  }
  // What the peer says next to what it was told last.
  Segment reply(const Segment& to, uint8_t flags, const Frame& data = {}) {
    Segment s{.src = to.dst, .dst = to.src, .sport = to.dport, .dport = to.sport, .seq = to.ack, .flags = flags, .data = data};
    s.ack = to.seq + static_cast<uint32_t>(to.data.size()) + to.has(kSyn) + to.has(kFin);
    return s;
  }
  // Three-way handshake; the peer's last segment, which was an ACK.
  Segment handshake(bool six, uint16_t port, unsigned queue = 0) {
    Segment syn{.src = six ? host6 : host4, .dst = six ? own6 : own4, .sport = port, .dport = kEcho, .seq = 1000, .flags = kSyn};
    feed(syn, queue);
    settle();
    const auto answer = next();
    EXPECT_TRUE(answer) << "no SYN-ACK";
    if (!answer) return {};
    EXPECT_EQ(answer->flags & (kSyn | kAck | kRst), kSyn | kAck);
    EXPECT_EQ(answer->ack, 1001u);
    const Segment ack = reply(*answer, kAck);
    feed(ack, queue);
    settle();
    return ack;
  }
  // The segment in two pieces, the later one first.
  void feed_in_fragments(const Segment& s, unsigned queue = 0) {
    static uint16_t id = 0;
    const Frame m = tcp_message(s);
    constexpr size_t kFirst = 24;
    Frame a(m.begin(), m.begin() + kFirst), b(m.begin() + kFirst, m.end());
    ++id;
    if (s.src.family == 4) {
      lan->feed(ip_frame(kLanMac, kLanHostMac, s.src, s.dst, wire::kProtoTcp, b, kFirst / 8, id), queue);
      lan->feed(ip_frame(kLanMac, kLanHostMac, s.src, s.dst, wire::kProtoTcp, a, 0x2000, id), queue);
      return;
    }
    const auto piece = [&](const Frame& data, uint16_t offset, bool more) {
      Frame f;
      append(f, wire::Ip6Frag{wire::kProtoTcp, 0, be16::from(static_cast<uint16_t>(offset | (more ? 1 : 0))), be32::from(id)});
      f.insert(f.end(), data.begin(), data.end());
      lan->feed(ip_frame(kLanMac, kLanHostMac, s.src, s.dst, wire::kProtoFragment, f), queue);
    };
    piece(b, kFirst, false);
    piece(a, 0, true);
  }
  // Port unreachable, quoting a segment of the box's as far as the ports and the sequence number.
  void feed_port_unreachable(const Segment& quoted, unsigned queue = 0) {
    const bool six = quoted.src.family == 6;
    const Frame packet = tcp_frame(kLanHostMac, kLanMac, quoted);
    Frame m;
    append(m, wire::IcmpHdr{static_cast<uint8_t>(six ? 1 : 3), static_cast<uint8_t>(six ? 4 : 3), {}, {}});
    m.insert(m.end(), packet.begin() + 14, packet.begin() + 14 + (six ? 40 : 20) + 8);
    const uint64_t sum = six ? pseudo(quoted.dst, quoted.src, wire::kProtoIcmp6, m.size()) : 0;
    wire::at<wire::IcmpHdr>(m.data())->checksum = wire::finish(wire::sum_bytes(m.data(), m.size(), sum));
    lan->feed(ip_frame(kLanMac, kLanHostMac, quoted.dst, quoted.src, six ? wire::kProtoIcmp6 : wire::kProtoIcmp, m), queue);
  }
  Client& connect(Box& b, unsigned stack, const IpAddr& to, uint16_t port, size_t bytes = 0) {
    auto made = std::make_unique<Client>(to, port, bytes);
    Client& c = *made;
    services.push_back(std::move(made));
    start(b, stack, c);
    return c;
  }
  // Everything that the box now has to say, its data put together.
  Frame said(Segment& last) {
    Frame all;
    while (const auto s = next()) {
      all.insert(all.end(), s->data.begin(), s->data.end());
      last = *s;
    }
    return all;
  }

  std::vector<std::unique_ptr<apps::Service>> services;
};

class TcpFamilyTest : public TcpBoxTest, public ::testing::WithParamInterface<bool> {};

}  // namespace sluice::test
