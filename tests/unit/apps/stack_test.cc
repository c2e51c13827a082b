// Services and applications on real TCP stacks, joined in memory: client, proxy and server are three machines.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "apps/host.h"
#include "apps/service_set.h"
#include "tests/unit/apps/http_client.h"
#include "tests/unit/apps/wire.h"
#include "tests/unit/eal_env.h"

namespace sluice::test {

namespace {
std::unique_ptr<PacketPool> the_pool;

class PoolEnvironment : public ::testing::Environment {
 public:
  void SetUp() override {
    auto p = PacketPool::create("wire", {.packets = 16384, .cache = 0, .huge_pages = false});
    ASSERT_TRUE(p.ok()) << p.error();
    the_pool = std::move(*p);
  }
  void TearDown() override { the_pool.reset(); }
};
::testing::Environment* const pool_environment = ::testing::AddGlobalTestEnvironment(new PoolEnvironment);
}  // namespace

PacketPool& wire_pool() { return *the_pool; }

}  // namespace sluice::test

namespace sluice::apps {
namespace {

using app::Event;
using app::Kind;
using app::Outcome;
using test::at;
using test::Wire;

// Bytes that depend on their position.
const std::vector<uint8_t>& pattern() {
  static const std::vector<uint8_t> bytes = [] {
    std::vector<uint8_t> b(2 * 65521);
    for (size_t i = 0; i < b.size(); i++) b[i] = static_cast<uint8_t>((i % 65521 * 2654435761u) >> 13);
    return b;
  }();
  return bytes;
}

// One connection that sends so much of the pattern and expects so much of it, reading no faster than it is told. A
// client connects; a server takes the first connection to its port.
class Peer final : public app::App {
 public:
  uint64_t send = 0, receive = 0;
  uint32_t read_a_tick = 0;              // 0: at once
  bool checks = true;                    // what comes is the pattern
  std::string text;                      // else it is collected
  std::string request;                   // sent instead of the pattern
  bool connected = false, peer_closed = false, closed = false;
  app::Failure failure = app::Failure::none;
  uint64_t got = 0, bad = 0;
  bool shut_when_sent = true;

  explicit Peer(uint16_t port) : port_(port) {}
  explicit Peer(const app::Endpoint& to) : to_(to) {}

  void start(app::Api& api) override {
    app::Listener l;
    const Outcome o = port_ ? api.listen({.port = port_}, {}, 0, l) : api.connect(to_, {}, {}, 0, conn_);
    ASSERT_EQ(o, Outcome::ok);
  }
  void events(app::Api& api, std::span<const Event> batch) override {
    for (const Event& e : batch) {
      switch (e.kind) {
        case Kind::accepted:
          if (!conn_.none()) {
            api.abort(e.conn);
            break;
          }
          conn_ = e.conn;
          [[fallthrough]];
        case Kind::connected: connected = true; fill(api); break;
        case Kind::data: data(api, e); break;
        case Kind::sent: fill(api); break;
        case Kind::peer_closed: peer_closed = true; break;
        case Kind::closed: closed = true; break;
        case Kind::failed: closed = true; failure = e.failure; break;
      }
    }
  }
  void tick(app::Api& api) override {
    next_ = api.now() + 1'000'000;
    uint32_t n = read_a_tick;
    while (n > 0 && !held_.empty()) {
      auto& [buffer, left] = held_.front();
      const uint32_t take = std::min(n, left);
      left -= take;
      n -= take;
      api.done(conn_, left == 0 ? buffer : nullptr, take);
      if (left == 0) held_.pop_front();
    }
  }
  int64_t deadline() const override { return held_.empty() ? INT64_MAX : next_; }
  void hang_up(app::Api& api) { api.close(conn_); }
  void give_back(app::Api& api) {
    for (auto& [buffer, left] : held_) api.free_buffer(buffer);
    held_.clear();
  }

 private:
  void data(app::Api& api, const Event& e) {
    if (!checks) text.append(reinterpret_cast<const char*>(e.bytes), e.length);
    for (uint32_t done = 0; checks && done < e.length;) {
      const size_t from = (got + done) % 65521;
      const auto n = static_cast<uint32_t>(std::min<size_t>(e.length - done, 65521));
      bad += std::memcmp(e.bytes + done, pattern().data() + from, n) != 0;
      done += n;
    }
    got += e.length;
    if (read_a_tick == 0) {
      api.done(e.conn, e.buffer, e.length);
      return;
    }
    if (held_.empty()) next_ = api.now() + 1'000'000;
    held_.push_back({e.buffer, e.length});
  }
  void fill(app::Api& api) {
    if (!request.empty()) {
      const app::Slice s{reinterpret_cast<const uint8_t*>(request.data()), static_cast<uint32_t>(request.size()),
                         nullptr, nullptr};
      if (!asked_) asked_ = api.send(conn_, {&s, 1}) == Outcome::ok;
      ASSERT_TRUE(asked_);
      return;
    }
    while (sent_ < send) {
      const size_t from = sent_ % 65521;
      const auto n = static_cast<uint32_t>(std::min<uint64_t>({send - sent_, 65521, api.send_room(conn_)}));
      const app::Slice s{pattern().data() + from, n, nullptr, nullptr};
      if (n == 0 || api.send(conn_, {&s, 1}) != Outcome::ok) return;
      sent_ += n;
    }
    if (!shut_ && shut_when_sent) api.shutdown(conn_);
    shut_ = shut_when_sent;
  }

  uint16_t port_ = 0;
  app::Endpoint to_;
  app::Conn conn_;
  uint64_t sent_ = 0;
  bool shut_ = false, asked_ = false;
  int64_t next_ = 0;
  std::deque<std::pair<app::Buffer*, uint32_t>> held_;
};

ServiceConfig service(ServiceKind kind, const char* name, uint16_t port) {
  ServiceConfig c;
  c.name = name;
  c.kind = kind;
  c.listen = {{.port = port}};
  c.connections = 256;
  return c;
}

// A machine with services.
struct Box {
  explicit Box(Wire& w, uint8_t address, uint32_t slices = 1u << 16)
      : services(1, [this](unsigned, const std::function<void(Host&)>& f) { return f(node.apps()), true; }),
        node(w, address, Wire::Node::config(), slices) {}
  void set(std::vector<ServiceConfig> c, Duration drain = Duration::seconds(5)) {
    auto p = services.prepare(std::move(c), 1'000'000'000);
    ASSERT_TRUE(p.ok()) << p.error();
    services.commit(std::move(*p), drain);
  }
  const ServiceCounters& counters(const std::string& name) const {
    for (const ServiceView& v : services.views())
      if (v.config->name == name && !v.draining) return *v.engines[0];
    ADD_FAILURE() << "no service " << name;
    static ServiceCounters none;
    return none;
  }
  Services services;
  Wire::Node node;
};

class OnStacks : public ::testing::Test {
 protected:
  ~OnStacks() override { EXPECT_EQ(test::wire_pool().in_use(), 0u) << "mbufs that nobody holds"; }
};

TEST_F(OnStacks, EchoDiscardAndChargen) {
  Wire w;
  Box box(w, 1);
  Wire::Node client(w, 2);
  box.set({service(ServiceKind::echo, "echo", 7), service(ServiceKind::discard, "discard", 9),
           service(ServiceKind::chargen, "chargen", 19)});
  w.run_for(Duration::millis(1));
  Peer echo(at(1, 7)), discard(at(1, 9)), chargen(at(1, 19));
  echo.send = 3'000'000;
  discard.send = 3'000'000;
  chargen.checks = false;
  chargen.shut_when_sent = false;
  for (Peer* p : {&echo, &discard, &chargen}) client.apps().install(*p);
  ASSERT_TRUE(w.run([&] { return echo.closed && discard.closed && chargen.got > 1'000'000; }));
  EXPECT_EQ(echo.got, 3'000'000u);
  EXPECT_EQ(echo.bad, 0u);
  EXPECT_EQ(echo.failure, app::Failure::none);
  EXPECT_EQ(discard.failure, app::Failure::none);
  EXPECT_EQ(box.counters("discard").bytes_in.get(), 3'000'000u);
  EXPECT_TRUE(
      chargen.text.starts_with(" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n!\"#"));
  chargen.hang_up(client.apps());
  ASSERT_TRUE(w.run([&] { return box.counters("chargen").connections() == 0; }));
}

TEST_F(OnStacks, HttpAnswersAPipelineAndALargeFile) {
  const std::string folder = ::testing::TempDir() + "sluice-stack-test";
  std::filesystem::create_directories(folder);
  std::string large(5'000'000, ' ');
  for (size_t i = 0; i < large.size(); i++) large[i] = static_cast<char>('a' + i * 31 % 26);
  std::ofstream(folder + "/large") << large;
  Wire w;
  Box box(w, 1);
  Wire::Node client(w, 2);
  ServiceConfig web = service(ServiceKind::http, "web", 80);
  web.http.body = "hello\n";
  web.http.files = folder;
  box.set({web});
  std::filesystem::remove_all(folder);
  w.run_for(Duration::millis(1));
  Peer p(at(1, 80));
  p.checks = false;
  const std::string hello = "GET / HTTP/1.1\r\nHost: box\r\n\r\n";
  for (int i = 0; i < 100; i++) p.request += hello;
  p.request += "GET /large HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n";
  client.apps().install(p);
  ASSERT_TRUE(w.run([&] { return p.peer_closed; }));
  const auto all = test::responses(p.text);
  ASSERT_EQ(all.size(), 101u);
  for (int i = 0; i < 100; i++) ASSERT_EQ(all[static_cast<size_t>(i)].body, "hello\n");
  EXPECT_TRUE(all[100].body == large);
  EXPECT_EQ(box.counters("web").requests.get(), 101u);
  p.hang_up(client.apps());
  ASSERT_TRUE(w.run([&] { return box.counters("web").connections() == 0; }));
  EXPECT_EQ(box.counters("web").failures.get(), 0u);
}

// What a proxied exchange is to look like: client and server send each other so much, and read as fast as told.
void relay(uint64_t up, uint64_t down, uint32_t client_reads, uint32_t server_reads, double loss,
           bool proxy_protocol = false) {
  Wire w(7);
  w.loss = loss;
  Box proxy(w, 1);
  Wire::Node client(w, 2), server(w, 3);
  ServiceConfig c = service(ServiceKind::proxy, "front", 8000);
  c.proxy.backends = {at(3, 80)};
  c.proxy.check.kind = CheckKind::none;
  c.proxy.proxy_protocol = proxy_protocol;
  Peer s(80), p(at(1, 8000));
  s.send = down;
  s.read_a_tick = server_reads;
  s.checks = !proxy_protocol;
  p.send = up;
  p.read_a_tick = client_reads;
  server.apps().install(s);
  proxy.set({c});
  w.run_for(Duration::millis(1));
  client.apps().install(p);
  ASSERT_TRUE(w.run([&] { return p.closed && s.closed; }, Duration::seconds(3000)))
      << "client has " << p.got << ", server " << s.got;
  EXPECT_EQ(p.failure, app::Failure::none);
  EXPECT_EQ(s.failure, app::Failure::none);
  EXPECT_EQ(p.got, down);
  EXPECT_EQ(s.got, up + (proxy_protocol ? 28 : 0));
  EXPECT_EQ(p.bad + s.bad, 0u);
  w.run_for(Duration::seconds(1));
  EXPECT_EQ(proxy.counters("front").connections(), 0u);
  EXPECT_EQ(proxy.counters("front").bytes_in.get(), up);
  EXPECT_EQ(proxy.counters("front").bytes_out.get(), down);
  EXPECT_EQ(proxy.node.tcp().buffers().held(), 0u);
  s.give_back(server.apps());
  p.give_back(client.apps());
}

TEST_F(OnStacks, AProxyCarries64MiBToASlowReader) { relay(64u << 20, 100'000, 0, 60'000, 0); }
TEST_F(OnStacks, AProxyCarries64MiBFromAFastServer) { relay(1000, 64u << 20, 50'000, 0, 0); }
TEST_F(OnStacks, AProxyCarriesBothWaysAtOnce) { relay(16u << 20, 16u << 20, 30'000, 70'000, 0); }
TEST_F(OnStacks, AProxyCarriesOverALossyNetwork) { relay(2u << 20, 2u << 20, 0, 20'000, 0.02, true); }

TEST_F(OnStacks, AReaderThatStopsStopsTheWriter) {
  Wire w;
  Box proxy(w, 1);
  Wire::Node client(w, 2), server(w, 3);
  ServiceConfig c = service(ServiceKind::proxy, "front", 8000);
  c.proxy.backends = {at(3, 80)};
  c.proxy.check.kind = CheckKind::none;
  c.receive_buffer = c.send_buffer = 65536;
  Peer s(80), p(at(1, 8000));
  s.read_a_tick = 1;  // a byte a millisecond
  p.send = 64u << 20;
  server.apps().install(s);
  proxy.set({c});
  w.run_for(Duration::millis(1));
  client.apps().install(p);
  w.run_for(Duration::seconds(3));
  const uint64_t early = proxy.counters("front").bytes_in.get();
  w.run_for(Duration::seconds(3));
  EXPECT_LE(proxy.counters("front").bytes_in.get() - early, 70'000u);
  EXPECT_LE(proxy.node.tcp().buffers().held(), 600u) << "the proxy buffers more than its windows";
  client.tcp().stack().abort(w.now, {0, 0});
  s.give_back(server.apps());
}

TEST_F(OnStacks, AServiceThatDidNotChangeKeepsItsConnections) {
  Wire w;
  Box box(w, 1);
  Wire::Node client(w, 2);
  const ServiceConfig echo = service(ServiceKind::echo, "echo", 7);
  ServiceConfig web = service(ServiceKind::http, "web", 80);
  web.http.body = "one\n";
  box.set({echo, web});
  w.run_for(Duration::millis(1));
  Peer kept(at(1, 7)), old(at(1, 80)), fresh(at(1, 80));
  kept.send = 20'000'000;
  old.checks = fresh.checks = false;
  old.request = fresh.request = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";
  client.apps().install(kept);
  client.apps().install(old);
  ASSERT_TRUE(w.run([&] { return !old.text.empty() && kept.got > 100'000; }));
  EXPECT_EQ(test::responses(old.text)[0].body, "one\n");
  web.http.body = "two\n";
  box.set({echo, web});
  ASSERT_TRUE(w.run([&] { return old.peer_closed; }, Duration::seconds(2))) << "idle, it is closed at once";
  client.apps().install(fresh);
  ASSERT_TRUE(w.run([&] { return !fresh.text.empty(); }));
  EXPECT_EQ(test::responses(fresh.text)[0].body, "two\n");
  old.hang_up(client.apps());
  box.set({});  // everything ends
  w.run_for(Duration::seconds(1));
  EXPECT_FALSE(box.services.views().empty());
  w.run_for(Duration::seconds(10));
  box.services.maintain();
  EXPECT_TRUE(box.services.views().empty());
  EXPECT_EQ(box.node.tcp().stack().sizes().listeners, 0u);
}

TEST_F(OnStacks, AnAddressMayPassFromOneServiceToAnother) {
  Wire w;
  Box box(w, 1);
  Wire::Node client(w, 2);
  box.set({service(ServiceKind::echo, "a", 7)});
  w.run_for(Duration::millis(1));
  box.set({service(ServiceKind::discard, "b", 7)});
  w.run_for(Duration::millis(1));
  EXPECT_EQ(box.counters("b").listen_failures.get(), 0u);
  Peer p(at(1, 7));
  p.send = 1000;
  client.apps().install(p);
  ASSERT_TRUE(w.run([&] { return p.closed; }));
  EXPECT_EQ(box.counters("b").bytes_in.get(), 1000u);
}

TEST_F(OnStacks, WithoutASliceToSpareAnswersWaitAndAreNotLost) {
  Wire w;
  Box box(w, 1, 3);  // three slices with a keeper at a time, for all connections
  Wire::Node client(w, 2);
  ServiceConfig web = service(ServiceKind::http, "web", 80);
  web.http.body = "hello\n";
  box.set({web});
  w.run_for(Duration::millis(1));
  std::vector<std::unique_ptr<Peer>> p;
  for (int i = 0; i < 10; i++) {
    p.push_back(std::make_unique<Peer>(at(1, 80)));
    p.back()->checks = false;
    for (int k = 0; k < 20; k++) p.back()->request += "GET / HTTP/1.1\r\nHost: box\r\n\r\n";
    client.apps().install(*p.back());
  }
  const auto all = [&] {
    return std::all_of(p.begin(), p.end(), [](const auto& one) { return test::responses(one->text).size() == 20; });
  };
  ASSERT_TRUE(w.run(all, Duration::seconds(60)));
}

TEST_F(OnStacks, ChecksOfABackendThatComesAndGoes) {
  Wire w;
  Box proxy(w, 1);
  Wire::Node client(w, 2);
  auto server = std::make_unique<Box>(w, 3);
  ServiceConfig web = service(ServiceKind::http, "web", 80);
  web.http.body = "hello\n";
  server->set({web});
  ServiceConfig c = service(ServiceKind::proxy, "front", 8000);
  c.proxy.backends = {at(3, 80)};
  c.proxy.check.kind = CheckKind::http;
  proxy.set({c});
  const auto up = [&] { return proxy.services.views()[0].backends[0][0]->up.load(); };
  w.run_for(Duration::seconds(10));
  EXPECT_TRUE(up());
  EXPECT_EQ(proxy.services.views()[0].backends[0][0]->checks_failed.get(), 0u);
  server->set({});
  w.run_for(Duration::seconds(20));
  EXPECT_FALSE(up());
  Peer refused(at(1, 8000));
  client.apps().install(refused);
  ASSERT_TRUE(w.run([&] { return refused.closed; }));
  EXPECT_EQ(refused.failure, app::Failure::reset);
  server->set({web});
  w.run_for(Duration::seconds(20));
  EXPECT_TRUE(up());
  Peer p(at(1, 8000));
  p.checks = false;
  p.request = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";
  client.apps().install(p);
  ASSERT_TRUE(w.run([&] { return !p.text.empty(); }));
}

// --- what the control side is told

std::string error_of(std::vector<ServiceConfig> c) {
  Services s(1, [](unsigned, const std::function<void(Host&)>&) { return false; });
  auto p = s.prepare(std::move(c), 0);
  return p.ok() ? "" : p.error();
}

TEST(ServicesErrors, AreOneSentenceThatNamesTheService) {
  const ServiceConfig echo = service(ServiceKind::echo, "a", 7);
  EXPECT_EQ(error_of({echo}), "");
  ServiceConfig c = service(ServiceKind::discard, "b", 7);
  EXPECT_NE(error_of({echo, c}).find("service b: port 7 is taken by service a"), std::string::npos);
  c.listen[0].address = at(1, 0).address;
  EXPECT_EQ(error_of({echo, c}), "") << "any address and a single one may share a port";
  EXPECT_NE(error_of({echo, service(ServiceKind::echo, "a", 8)}).find("Two services are called a"), std::string::npos);
  EXPECT_NE(error_of({service(ServiceKind::http, "w", 80)}).find("service w: it has nothing to serve"),
            std::string::npos);
  EXPECT_NE(error_of({service(ServiceKind::proxy, "p", 80)}).find("service p: it has no backend"), std::string::npos);
  ServiceConfig w = service(ServiceKind::http, "w", 80);
  w.http.files = "/nonexistent";
  EXPECT_NE(error_of({w}).find("service w: files: /nonexistent is not a directory"), std::string::npos);
  std::vector<ServiceConfig> many;
  for (unsigned i = 0; i < 65; i++)
    many.push_back(service(ServiceKind::echo, std::to_string(i).c_str(), static_cast<uint16_t>(i + 1)));
  EXPECT_NE(error_of(many).find("more than 64 services"), std::string::npos);
}

}  // namespace
}  // namespace sluice::apps
