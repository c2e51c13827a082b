// Two hosts, two directions of a network between them, applications on both, in virtual time: events in
// order, and what must hold looked at after each of them.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <unordered_map>

#include "tests/sim/endpoint.h"
#include "tests/sim/host.h"
#include "tests/sim/link.h"
#include "tests/sim/tap.h"

namespace sluice::sim {

struct Pair {
  Plan plan[2];            // of the opener (host 0) and of the other side
  bool both_open = false;  // simultaneous open
};

struct Scene {
  uint64_t seed = 1;
  tcp::Config config[2];
  LinkModel link[2];  // 0: from host 0 to host 1
  std::vector<Pair> pairs;
  uint16_t mtu = 1500;  // of the hosts' links
  bool ipv6 = false;
  uint32_t buffers = 6000;
  double refuse = 0;                             // chance that a host's port has no buffer for a segment
  Duration limit = Duration::seconds(4 * 3600);  // of virtual time: later it is a deadlock
  bool check_all = true;  // rows of every connection after every event; false: now and then
};

class World {
 public:
  explicit World(const Scene& s);
  ~World();
  // Runs until all is closed: nothing, or what went wrong, with the last packets.
  std::optional<std::string> run();
  // One event: false: there is none left before `until`.
  bool step(Instant until = Instant::never());

  Instant now() const { return now_; }
  Instant start() const { return start_; }
  Host& host(unsigned i) { return *hosts_[i]; }
  Endpoint& endpoint(unsigned pair, unsigned side) { return *endpoints_[2 * pair + side]; }
  uint64_t events() const { return events_; }
  // What went wrong, with the last packets; empty: nothing.
  std::string wrong() const { return wrong_.empty() ? "" : wrong_ + "\n" + story(); }

 private:
  struct Waiting {
    Instant at;
    uint64_t order;
    unsigned to;
    Packet packet;
    bool forged;
    std::optional<tcp::IcmpError> icmp;
    bool operator<(const Waiting& o) const { return at != o.at ? o.at < at : o.order < order; }
  };
  struct Seen {
    Instant at;
    unsigned host;
    Packet packet;
    const char* fate;
  };

  void start_pair(unsigned i);
  tcp::Tuple tuple_of(unsigned pair) const;  // host 0's view
  void left(unsigned host, Packet&& p);
  void take_arrivals();
  void take_events(unsigned host);
  void act(unsigned endpoint);
  void open(unsigned endpoint);
  void settle();
  void check();
  void check_row(unsigned host, const tcp::Info& i);
  void check_end();
  Instant next() const;
  bool finished() const;
  void fail(const std::string& what);
  void fail_at(uint16_t client_port, const std::string& what);  // of one connection
  uint16_t client_port(const Packet& p) const;
  std::string story() const;
  Tap& tap(unsigned host, const Packet& p, bool sent);

  Scene setup_;
  Instant start_{Duration::seconds(5000).ns}, now_ = start_;
  std::unique_ptr<Host> hosts_[2];
  Link links_[2];
  Random random_;
  std::vector<std::unique_ptr<Endpoint>> endpoints_;  // 2 · pair + side
  std::priority_queue<Waiting> air_;
  // Wake-ups of endpoints; stale entries are passed over.
  std::priority_queue<std::pair<int64_t, unsigned>, std::vector<std::pair<int64_t, unsigned>>, std::greater<>>
      wakes_;
  std::unordered_map<uint64_t, Tap> taps_;
  std::deque<Seen> seen_;
  std::unordered_map<uint16_t, tcp::Seq> iss_[2];  // by the client's port: for the log
  uint16_t culprit_ = 0;                           // client port of the connection that failed, if it was one
  uint64_t order_ = 0, events_ = 0;
  unsigned still_ = 0;  // events in a row at one moment
  unsigned undone_ = 0;
  std::string wrong_;
};

}  // namespace sluice::sim
