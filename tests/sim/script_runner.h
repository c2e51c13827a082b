// The runner of scripts: one stack, the script as its peer, its network and its application.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <stdexcept>

#include "tests/sim/host.h"
#include "tests/sim/script.h"

namespace sluice::sim {

struct Failed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Runner {
 public:
  explicit Runner(const Script& s);
  ~Runner();
  void run();               // throws Failed
  std::string log() const;  // the packets, in tcpdump's manner

 private:
  struct Held {
    rte_mbuf* m;
    uint32_t bytes;
  };
  struct Flow {
    unsigned number = 0;
    tcp::Tuple tuple;  // as the stack sees it
    tcp::Seq irs, iss, earlier_iss;
    bool iss_known = false, ts_known = false, peer_ts = false;
    uint32_t ts_first = 0, ts_last = 0, peer_ts_first = 0;
    Instant peer_ts_at{};
    tcp::ConnId conn;
    uint64_t sent = 0, received = 0;  // stream positions: given to send(), brought by data events
    uint64_t consumed = 0, done = 0;  // checked by recv/take; told by receive_done
    bool check_pattern = true;        // off once a script has filled payload itself
    std::deque<tcp::Event> events;    // without data and sent
    std::deque<Held> held;            // mbufs of data events
    std::string bytes;                // received, not looked at yet
    uint64_t sent_events = 0;         // bytes of `sent` events
  };
  struct Out {
    Instant at;
    Packet packet;
  };

  Flow& flow(unsigned n);
  Flow* flow_of(const tcp::Tuple& t);
  Flow* flow_of(tcp::ConnId id);
  void left(Packet&& p);  // the stack has sent it
  void note(Instant at, bool in, const Packet& p, const Flow* f);
  void settle(bool flush = true);  // after every call: flush, collect events
  void collect();
  void advance(Instant to, bool until_packet = false);
  void quiet(const Step& s);  // nothing unexpected has left
  void step(const Step& s);

  void arrive(const PacketSpec& p);
  Packet packet_of(Flow& f, const PacketSpec& p);
  void expect(const Step& s, Instant when);
  void compare(const Step& s, const Packet& p);
  void compare_options(const Step& s, const Flow& f, const Packet& p);
  void check_payload(Flow& f, const Packet& p);

  // script_commands.cc
  void command(const Step& s);
  bool network_command(const Step& s);
  bool life_command(const Step& s, Flow& f);
  bool application_command(const Step& s, Flow& f);
  bool check_command(const Step& s, Flow& f);
  void outcome(const Step& s, tcp::Outcome o);
  void open(const Step& s, bool passive);
  void listen(const Step& s);
  void connect(const Step& s, Flow& f);
  void send(const Step& s, Flow& f);
  void take(const Step& s, Flow& f, bool done);
  void finish(Flow& f, uint32_t bytes, const Step& s);
  void event(const Step& s, Flow& f);
  void check_info(const Step& s, Flow& f);
  void check_count(const Step& s);
  void check_size(const Step& s);
  void icmp(const Step& s, Flow& f);
  std::optional<tcp::Info> find(const Flow& f);
  void run_text(unsigned flow, const std::string& line, OptionSpec options, std::optional<uint16_t> window);

  const Script& script_;
  Instant now_, start_, last_;  // last_: the time of the line before
  std::deque<Out> out_;
  std::deque<std::string> log_;
  std::map<unsigned, Flow> flows_;
  std::map<std::string, tcp::ListenerId> listeners_;
  std::unique_ptr<Host> host_;
};

// "10*1460", "65535", "0.2" (seconds, in nanoseconds with `time`).
int64_t evaluate(const std::string& s, bool time);

}  // namespace sluice::sim
