// What a script's lines do besides packets: the application, the network's errors, looks at the state.
#include <algorithm>
#include <charconv>
#include <functional>

#include "tests/sim/script_runner.h"

namespace sluice::sim {

using tcp::Info;
using tcp::Outcome;

namespace {

[[noreturn]] void unknown(const Step& s) {
  throw Failed("no command is written like that: " + s.words[0]);
}

const std::string& word(const Step& s, size_t i) {
  if (i >= s.words.size()) throw Failed("the command wants more words");
  return s.words[i];
}

uint32_t count(const Step& s, size_t i) {
  return static_cast<uint32_t>(evaluate(word(s, i), false));
}

std::string with_underscores(std::string s) {
  std::replace(s.begin(), s.end(), ' ', '_');
  return s;
}

void require(int64_t got, const Step& s, size_t op, bool time) {
  int64_t want = evaluate(word(s, op + 1), time);
  const std::string& o = word(s, op);
  bool right = o == "=="   ? got == want
               : o == "!=" ? got != want
               : o == "<"  ? got < want
               : o == "<=" ? got <= want
               : o == ">"  ? got > want
               : o == ">=" ? got >= want
                           : throw Failed("'" + o + "' compares nothing");
  if (!right) throw Failed(word(s, op - 1) + " is " + std::to_string(got) + (time ? " ns" : ""));
}

struct Field {
  std::function<int64_t(const Info&)> of;
  bool time = false;
};

const std::map<std::string, Field>& fields() {
  static const std::map<std::string, Field> kFields = {
      {"cwnd", {[](const Info& i) { return i.cwnd; }}},
      {"ssthresh", {[](const Info& i) { return i.ssthresh; }}},
      {"snd_wnd", {[](const Info& i) { return i.snd_wnd; }}},
      {"rcv_wnd", {[](const Info& i) { return i.rcv_wnd; }}},
      {"snd_mss", {[](const Info& i) { return i.snd_mss; }}},
      {"mss", {[](const Info& i) { return i.mss; }}},
      {"path_mtu", {[](const Info& i) { return i.path_mtu; }}},
      {"in_flight", {[](const Info& i) { return i.in_flight; }}},
      {"lost", {[](const Info& i) { return i.lost; }}},
      {"sacked", {[](const Info& i) { return i.sacked; }}},
      {"retransmissions", {[](const Info& i) { return i.retransmissions; }}},
      {"send_queue", {[](const Info& i) { return i.send_queue; }}},
      {"receive_queue", {[](const Info& i) { return i.receive_queue; }}},
      {"out_of_order", {[](const Info& i) { return i.out_of_order; }}},
      {"with_application", {[](const Info& i) { return i.with_application; }}},
      {"receive_buffers", {[](const Info& i) { return i.receive_buffers; }}},
      {"snd_wind_shift", {[](const Info& i) { return i.snd_wind_shift; }}},
      {"rcv_wind_shift", {[](const Info& i) { return i.rcv_wind_shift; }}},
      {"snd_una", {[](const Info& i) { return i.snd_una - i.iss; }}},
      {"snd_nxt", {[](const Info& i) { return i.snd_nxt - i.iss; }}},
      {"rcv_nxt", {[](const Info& i) { return i.rcv_nxt - i.irs; }}},
      {"sack", {[](const Info& i) { return i.sack; }}},
      {"timestamps", {[](const Info& i) { return i.timestamps; }}},
      {"ecn", {[](const Info& i) { return i.ecn; }}},
      {"orphan", {[](const Info& i) { return i.orphan; }}},
      {"passive", {[](const Info& i) { return i.passive; }}},
      {"srtt", {[](const Info& i) { return i.srtt.ns; }, true}},
      {"rttvar", {[](const Info& i) { return i.rttvar.ns; }, true}},
      {"rto", {[](const Info& i) { return i.rto.ns; }, true}},
      {"rtt_min", {[](const Info& i) { return i.rtt_min.ns; }, true}},
      {"timer_in", {[](const Info& i) { return i.timer_in.ns; }, true}},
  };
  return kFields;
}

}  // namespace

int64_t evaluate(const std::string& s, bool time) {
  if (time) {
    auto d = parse_seconds(s);
    if (!d) throw Failed("'" + s + "' is no time in seconds");
    return d->ns;
  }
  int64_t product = 1;
  for (size_t i = 0; i <= s.size();) {
    size_t end = std::min(s.find('*', i), s.size());
    int64_t v = 0;
    auto [stop, error] = std::from_chars(s.data() + i, s.data() + end, v);
    if (error != std::errc{} || stop != s.data() + end) throw Failed("'" + s + "' is no number");
    product *= v;
    i = end + 1;
  }
  return product;
}

void Runner::outcome(const Step& s, Outcome o) {
  std::string got = with_underscores(to_string(o)), want = s.outcome.value_or("ok");
  if (got != want) throw Failed("the command's outcome is " + got + ", not " + want);
}

std::optional<Info> Runner::find(const Flow& f) {
  struct Search {
    const Flow& f;
    std::optional<Info> found;
  } search{f, {}};
  uint32_t cursor = 0;
  do {
    cursor = host_->stack().list(now_, cursor, 64, &search, [](void* to, const Info& i) {
      auto* s = static_cast<Search*>(to);
      if (i.tuple == s->f.tuple) s->found = i;
    });
  } while (cursor);
  return search.found;
}

void Runner::listen(const Step& s) {
  tcp::ListenOptions o;
  o.port = static_cast<uint16_t>(count(s, 1));
  o.nagle = script_.nagle;
  for (size_t i = 2; i < s.words.size(); i++) {
    const std::string& key = s.words[i];
    if (key == "keepalive")
      o.keepalive = true;
    else if (key == "address")
      o.address = *parse_ip(word(s, ++i));
    else if (key == "backlog")
      o.backlog = count(s, ++i);
    else if (key == "receive_buffer")
      o.receive_buffer = count(s, ++i);
    else if (key == "send_buffer")
      o.send_buffer = count(s, ++i);
    else if (key == "user_timeout")
      o.user_timeout = Duration::nanos(evaluate(word(s, ++i), true));
    else
      unknown(s);
  }
  tcp::ListenerId id = tcp::kNoListener;
  outcome(s, host_->stack().listen(o, id));
  if (id != tcp::kNoListener) listeners_[s.words[1]] = id;
}

void Runner::connect(const Step& s, Flow& f) {
  tcp::ConnectOptions o;
  f.tuple.remote_port = static_cast<uint16_t>(40000 + f.number);
  f.tuple.local_port = static_cast<uint16_t>(5000 + f.number);
  o.mtu = script_.mtu;
  o.nagle = script_.nagle;
  o.path = {3, 1};
  for (size_t i = 1; i < s.words.size(); i++) {
    const std::string& key = s.words[i];
    if (key == "keepalive")
      o.keepalive = true;
    else if (key == "ephemeral")
      f.tuple.local_port = 0;
    else if (key == "from")
      f.tuple.local_port = static_cast<uint16_t>(count(s, ++i));
    else if (key == "to")
      f.tuple.remote_port = static_cast<uint16_t>(count(s, ++i));
    else if (key == "nowhere")
      f.tuple.remote = {};
    else if (key == "address")
      f.tuple.remote = *parse_ip(word(s, ++i));
    else if (key == "receive_buffer")
      o.receive_buffer = count(s, ++i);
    else if (key == "send_buffer")
      o.send_buffer = count(s, ++i);
    else if (key == "user_timeout")
      o.user_timeout = Duration::nanos(evaluate(word(s, ++i), true));
    else
      unknown(s);
  }
  o.tuple = f.tuple;
  Outcome done = host_->stack().connect(now_, o, f.conn);
  outcome(s, done);
  if (done == Outcome::ok)
    if (auto info = host_->stack().info(now_, f.conn)) f.tuple = info->tuple;
  settle();
}

// A line of the runner's own, for the handshakes that most scripts begin with.
void Runner::run_text(unsigned n, const std::string& line, OptionSpec options,
                      std::optional<uint16_t> window) {
  Script one;
  if (auto wrong = parse_script(line, one)) throw Failed(*wrong);
  Step s = one.steps.front();
  s.flow = s.packet.flow = n;
  if (options.given) s.packet.options = options;
  if (window) s.packet.window = window;
  step(s);
}

// established | connected [<options>] [win N] [rtt S]: the handshake with a peer that has these options.
void Runner::open(const Step& s, bool passive) {
  std::string options = "<mss 1460,sackOK>", rtt = ".1";
  uint16_t window = 65535;
  for (size_t i = 1; i < s.words.size(); i++) {
    const std::string& key = s.words[i];
    if (key[0] == '<')
      options = key;
    else if (key == "win")
      window = static_cast<uint16_t>(count(s, ++i));
    else if (key == "rtt")
      rtt = word(s, ++i);
    else
      unknown(s);
  }
  Script peer;
  if (auto wrong = parse_script("+0 < S 0:0(0) " + options, peer)) throw Failed(*wrong);
  OptionSpec of = peer.steps.front().packet.options;
  if (passive) {
    if (!listeners_.contains("80")) run_text(s.flow, "+0 listen 80", {}, {});
    run_text(s.flow, "+0 < S 0:0(0)", of, window);
    run_text(s.flow, "+0 > S. 0:0(0) ack 1", {}, {});
    run_text(s.flow, "+" + rtt + " < . 1:1(0) ack 1", {}, window);
    run_text(s.flow, "+0 accept", {}, {});
  } else {
    run_text(s.flow, "+0 connect", {}, {});
    run_text(s.flow, "+0 > S 0:0(0)", {}, {});
    run_text(s.flow, "+" + rtt + " < S. 0:0(0) ack 1", of, window);
    run_text(s.flow, "+0 > . 1:1(0) ack 1", {}, {});
    run_text(s.flow, "+0 event connected", {}, {});
  }
}

void Runner::send(const Step& s, Flow& f) {
  uint32_t left = count(s, 1);
  std::vector<tcp::Slice> slices;
  for (uint64_t at = f.sent; left;) {
    uint32_t n = std::min(left, Pattern::kPeriod);
    slices.push_back({.data = Pattern(1000 + f.number).at(at), .length = n});
    at += n;
    left -= n;
  }
  Outcome o = host_->stack().send(now_, f.conn, slices);
  outcome(s, o);
  if (o == Outcome::ok) f.sent += count(s, 1);
  settle(word(s, 0) == "send");
}

void Runner::finish(Flow& f, uint32_t bytes, const Step& s) {
  outcome(s, host_->stack().receive_done(now_, f.conn, bytes));
  if (s.outcome && *s.outcome != "ok") return;
  f.done += bytes;
  while (!f.held.empty() && bytes) {
    uint32_t part = std::min(bytes, f.held.front().bytes);
    bytes -= part;
    if (f.held.front().bytes -= part; f.held.front().bytes) break;
    host_->buffers().free(f.held.front().m);
    f.held.pop_front();
  }
  settle();
}

void Runner::take(const Step& s, Flow& f, bool done) {
  uint32_t want = count(s, 1);
  if (f.bytes.size() != want) throw Failed(std::to_string(f.bytes.size()) + " bytes have been received");
  if (s.words.size() > 3 && s.words[2] == "fill")
    for (char c : f.bytes)
      if (c != s.words[3][0]) throw Failed("other bytes than those have been received");
  f.bytes.clear();
  f.consumed += want;
  if (done) finish(f, want, s);
}

void Runner::event(const Step& s, Flow& f) {
  static const std::map<std::string, tcp::EventKind> kKinds = {{"accepted", tcp::EventKind::accepted},
                                                               {"connected", tcp::EventKind::connected},
                                                               {"peer_closed", tcp::EventKind::peer_closed},
                                                               {"closed", tcp::EventKind::closed},
                                                               {"failed", tcp::EventKind::failed}};
  const std::string& name = word(s, 1);
  if (name == "none") {
    if (!f.events.empty())
      throw Failed("there is an event, kind " + std::to_string(static_cast<int>(f.events.front().kind)));
    return;
  }
  auto kind = kKinds.find(name);
  if (kind == kKinds.end()) throw Failed("no event is called '" + name + "'");
  if (f.events.empty()) throw Failed("there is no event");
  tcp::Event e = f.events.front();
  f.events.pop_front();
  if (e.kind != kind->second)
    throw Failed("the event is of kind " + std::to_string(static_cast<int>(e.kind)) + " (" +
                 to_string(e.failure) + ")");
  if (s.words.size() > 2 && with_underscores(to_string(e.failure)) != s.words[2])
    throw Failed(std::string("the failure is: ") + to_string(e.failure));
}

void Runner::check_info(const Step& s, Flow& f) {
  auto info = find(f);
  if (!info) throw Failed("there is no such connection");
  const std::string& name = word(s, 1);
  if (name == "timer" || name == "congestion" || name == "phase") {
    std::string got = name == "timer"   ? std::string(info->timer)
                      : name == "phase" ? info->phase
                                        : info->congestion;
    if (got.empty()) got = "none";
    if (with_underscores(got) != word(s, 3)) throw Failed(name + " is '" + got + "'");
    return;
  }
  auto field = fields().find(name);
  if (field == fields().end()) throw Failed("nothing about a connection is called '" + name + "'");
  require(field->second.of(*info), s, 2, field->second.time);
}

void Runner::check_count(const Step& s) {
  const tcp::Counters& c = host_->counters();
  const std::map<std::string, uint64_t> all = {
#define COUNT(name, text) {#name, c.name},
#include "tcp/counters.def"
#undef COUNT
  };
  auto i = all.find(word(s, 1));
  if (i == all.end()) throw Failed("no counter is called '" + word(s, 1) + "'");
  require(static_cast<int64_t>(i->second), s, 2, false);
}

void Runner::check_size(const Step& s) {
  tcp::Stack::Sizes z = host_->stack().sizes();
  const std::map<std::string, int64_t> all = {
      {"connections", z.connections}, {"half_open", z.half_open},
      {"time_wait", z.time_wait},     {"listeners", z.listeners},
      {"chunks", z.chunks},           {"records", z.records},
      {"cookies", z.cookies},         {"held", host_->buffers().held()}};
  auto i = all.find(word(s, 1));
  if (i == all.end()) throw Failed("no size is called '" + word(s, 1) + "'");
  require(i->second, s, 2, false);
}

// icmp too_big mtu N seq N | icmp soft seq N | icmp hard seq N
void Runner::icmp(const Step& s, Flow& f) {
  tcp::IcmpError e;
  const std::string& kind = word(s, 1);
  if (kind == "too_big")
    e.kind = tcp::IcmpError::Kind::too_big;
  else if (kind == "hard")
    e.kind = tcp::IcmpError::Kind::hard;
  else if (kind == "soft")
    e.kind = tcp::IcmpError::Kind::soft;
  else
    throw Failed("ICMP errors are too_big, soft or hard");
  e.tuple = f.tuple;
  for (size_t i = 2; i < s.words.size(); i += 2) {
    if (s.words[i] == "mtu")
      e.mtu = count(s, i + 1);
    else if (s.words[i] == "seq")
      e.seq = f.iss + count(s, i + 1);
    else
      unknown(s);
  }
  host_->stack().icmp(now_, e);
  settle();
}

bool Runner::network_command(const Step& s) {
  const std::string& c = s.words[0];
  if (c == "silence") {
    Duration d = Duration::nanos(evaluate(word(s, 1), true));
    advance(now_ + d);
    quiet(s);
    last_ = now_;
  } else if (c == "anything")
    out_.clear();
  else if (c == "refuse")
    host_->refuse(count(s, 1));
  else if (c == "flush")
    settle();
  else
    return false;
  return true;
}

bool Runner::life_command(const Step& s, Flow& f) {
  const std::string& c = s.words[0];
  tcp::Stack& stack = host_->stack();
  if (c == "listen")
    listen(s);
  else if (c == "unlisten")
    outcome(s, stack.unlisten(listeners_.at(word(s, 1)))), listeners_.erase(s.words[1]);
  else if (c == "connect")
    connect(s, f);
  else if (c == "established")
    open(s, true);
  else if (c == "connected")
    open(s, false);
  else if (c == "shutdown")
    outcome(s, stack.shutdown(now_, f.conn));
  else if (c == "close") {
    // The application lets go of what it holds: the library counts on it no more.
    for (Held& h : f.held) host_->buffers().free(h.m);
    f.held.clear();
    outcome(s, stack.close(now_, f.conn));
  } else if (c == "abort")
    outcome(s, stack.abort(now_, f.conn));
  else if (c == "forget")
    f.earlier_iss = f.iss, f.iss_known = f.ts_known = false, f.sent = f.received = f.done = 0;
  else if (c == "peer_restarts")
    f.irs = f.irs + count(s, 1), f.peer_ts = false;
  else
    return false;
  settle();
  return true;
}

bool Runner::application_command(const Step& s, Flow& f) {
  const std::string& c = s.words[0];
  tcp::Stack& stack = host_->stack();
  if (c == "send" || c == "queue")
    send(s, f);
  else if (c == "recv")
    take(s, f, true);
  else if (c == "take")
    take(s, f, false);
  else if (c == "done")
    finish(f, count(s, 1), s);
  else if (c == "pause")
    outcome(s, stack.pause(f.conn));
  else if (c == "resume")
    outcome(s, stack.resume(now_, f.conn)), settle();
  else if (c == "nagle")
    outcome(s, stack.set_nagle(f.conn, word(s, 1) == "on")), settle();
  else if (c == "keepalive")
    outcome(s, stack.set_keepalive(now_, f.conn, word(s, 1) == "on")), settle();
  else if (c == "user_timeout")
    outcome(s, stack.set_user_timeout(f.conn, Duration::nanos(evaluate(word(s, 1), true))));
  else if (c == "room")
    require(stack.send_room(f.conn), s, 1, false);
  else
    return false;
  return true;
}

bool Runner::check_command(const Step& s, Flow& f) {
  const std::string& c = s.words[0];
  if (c == "accept")
    event({.words = {"event", "accepted"}}, f);
  else if (c == "event")
    event(s, f);
  else if (c == "info")
    check_info(s, f);
  else if (c == "count")
    check_count(s);
  else if (c == "size")
    check_size(s);
  else if (c == "icmp")
    icmp(s, f);
  else if (c == "state") {
    auto info = find(f);
    std::string got = info ? to_string(info->state) : "CLOSED";
    if (got != word(s, 1)) throw Failed("the state is " + got);
  } else if (c == "iss_advance") {  // since `forget`
    require(static_cast<int64_t>((f.iss - f.earlier_iss.v).v), s, 1, false);
  } else if (c == "sent_events") {
    if (f.sent_events != count(s, 1))
      throw Failed(std::to_string(f.sent_events) + " bytes were told to be acknowledged");
    f.sent_events = 0;
  } else
    return false;
  return true;
}

void Runner::command(const Step& s) {
  Flow& f = flow(s.flow);
  if (!network_command(s) && !life_command(s, f) && !application_command(s, f) && !check_command(s, f))
    unknown(s);
}

}  // namespace sluice::sim
