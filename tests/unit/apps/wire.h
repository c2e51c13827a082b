// Machines with a TCP stack and applications each, joined by a wire in memory, in virtual time.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>

#include "apps/host.h"
#include "packet/pool.h"
#include "tests/sim/packet.h"

namespace sluice::test {

PacketPool& wire_pool();

inline IpAddr ip(uint8_t last) { return Ip4::from_host(0xc6120000u | last); }
inline app::Endpoint at(uint8_t last, uint16_t port) {
  app::Endpoint e;
  e.address = {{198, 18, 0, last}, 4};
  e.port = port;
  return e;
}

class Wire {
 public:
  class Node;

  Duration delay = Duration::micros(200);
  double loss = 0;
  explicit Wire(unsigned seed = 1) : random_(seed) {}

  void join(Node* n) { nodes_.push_back(n); }
  void put(sim::Packet&& p) {
    if (loss > 0 && std::uniform_real_distribution<>(0, 1)(random_) < loss) return;
    in_flight_.push_back({now + delay, std::move(p)});
  }
  // Until `done`; false: not within `most`.
  bool run(const std::function<bool()>& done, Duration most = Duration::seconds(600));
  void run_for(Duration d) { run([] { return false; }, d); }

  Instant now{1'000'000'000};

 private:
  struct Flying {
    Instant at;
    sim::Packet packet;
  };
  std::vector<Node*> nodes_;
  std::deque<Flying> in_flight_;
  std::mt19937 random_;
};

class Wire::Node final : private tcp::Sink, private stack::RouteQuery {
 public:
  Node(Wire& w, uint8_t address, tcp::Config c = config(), uint32_t slices = 1u << 16)
      : wire_(w), address_(ip(address)),
        tcp_(new stack::TcpHost(c, secrets(address), wire_pool().mempool(), 4096, *this, *this)),
        apps_(std::make_unique<apps::Host>(*tcp_, slices)) {
    w.join(this);
  }
  ~Node() {
    apps_->end();
    tcp_.reset();
  }
  static tcp::Config config() {
    tcp::Config c;
    c.limits.connections = 4096;
    c.limits.chunks = c.limits.records = 1u << 16;
    return c;
  }

  apps::Host& apps() { return *apps_; }
  stack::TcpHost& tcp() { return *tcp_; }

 private:
  friend class Wire;
  static tcp::Secrets secrets(uint64_t seed) {
    tcp::Secrets s;
    for (uint64_t* k : {s.isn, s.timestamp, s.cookie}) k[0] = k[1] = seed * 0x9e3779b97f4a7c15;
    s.seed = seed;
    return s;
  }
  bool send(const tcp::OutSegment& s) override {
    for (sim::Packet& p : sim::cut(s)) wire_.put(std::move(p));
    return true;
  }
  std::optional<stack::Way> towards(const IpAddr&) const override { return stack::Way{.local = address_}; }
  bool own(const IpAddr& a) const override { return a == address_; }
  bool comes_here(const tcp::Tuple&) const override { return true; }

  void deliver(Instant now, const sim::Packet& p) {
    tcp::InSegment s;
    s.tuple = sim::reversed(p.tuple);
    s.seq = p.seq;
    s.ack = p.ack;
    s.flags = p.flags;
    s.window = p.window;
    s.urgent = p.urgent;
    s.options = p.options;
    s.length = static_cast<uint16_t>(p.length());
    s.ecn = p.ecn;
    rte_mbuf* m = rte_pktmbuf_alloc(wire_pool().mempool());
    ASSERT_NE(m, nullptr) << "the pool is empty";
    if (s.length) std::memcpy(rte_pktmbuf_append(m, s.length), p.payload.data(), s.length);
    s.m = m;
    if (tcp_->stack().receive(now, s).by != tcp::Taken::By::library) rte_pktmbuf_free(m);
  }
  void turn(Instant now) {
    tcp_->stack().tick(now);
    apps_->turn(now);
    tcp_->stack().flush(now);
  }
  Instant deadline() const {
    return std::min(tcp_->stack().next_deadline(), apps_->next_deadline());
  }

  Wire& wire_;
  IpAddr address_;
  std::unique_ptr<stack::TcpHost> tcp_;
  std::unique_ptr<apps::Host> apps_;
};

inline bool Wire::run(const std::function<bool()>& done, Duration most) {
  const Instant end = now + most;
  while (!done()) {
    Instant next = in_flight_.empty() ? Instant::never() : in_flight_.front().at;
    for (Node* n : nodes_) next = std::min(next, n->deadline());
    if (next > end) {
      now = end;
      return false;
    }
    now = std::max(now, next);
    while (!in_flight_.empty() && in_flight_.front().at <= now) {
      const Flying f = std::move(in_flight_.front());
      in_flight_.pop_front();
      for (Node* n : nodes_)
        if (n->address_ == f.packet.tuple.remote) n->deliver(now, f.packet);
    }
    for (Node* n : nodes_) n->turn(now);
  }
  return true;
}

}  // namespace sluice::test
