#include <algorithm>

#include "tests/sim/script_runner.h"

namespace sluice::sim {

using tcp::Seq;

namespace {

// Timers may be late by a tick of the wheel.
constexpr Duration kTolerance = Duration::millis(2);
constexpr size_t kLogged = 60;

std::string seconds_text(Duration d) {
  char text[32];
  snprintf(text, sizeof text, "%.6f", static_cast<double>(d.ns) / 1e9);
  return text;
}

}  // namespace

Runner::Runner(const Script& s) : script_(s), now_{Duration::seconds(1000).ns}, start_(now_), last_(now_) {
  host_ = std::make_unique<Host>(pool().mempool(), s.config, 42, s.buffers,
                                 [this](Packet&& p) { left(std::move(p)); });
}

Runner::~Runner() {
  for (auto& [n, f] : flows_)
    for (Held& h : f.held) host_->buffers().free(h.m);
}

Runner::Flow& Runner::flow(unsigned n) {
  auto [i, fresh] = flows_.try_emplace(n);
  Flow& f = i->second;
  if (fresh) {
    f.number = n;
    f.irs = {script_.irs + (n - 1) * 100'000};
    f.tuple = {*parse_ip(script_.ipv6 ? "2001:db8::1" : "192.0.2.1"),
               *parse_ip(script_.ipv6 ? "2001:db8::2" : "192.0.2.2"), 80, static_cast<uint16_t>(40000 + n)};
  }
  return f;
}

Runner::Flow* Runner::flow_of(const tcp::Tuple& t) {
  for (auto& [n, f] : flows_) {
    if (f.tuple.local_port == 0 && f.tuple.remote_port == t.remote_port)
      f.tuple.local_port = t.local_port;  // it has chosen
    if (f.tuple == t) return &f;
  }
  return nullptr;
}

Runner::Flow* Runner::flow_of(tcp::ConnId id) {
  for (auto& [n, f] : flows_)
    if (f.conn == id) return &f;
  return nullptr;
}

std::string Runner::log() const {
  std::string s;
  for (const std::string& l : log_) s += "    " + l + "\n";
  return s;
}

void Runner::note(Instant at, bool in, const Packet& p, const Flow* f) {
  Seq ours = f && f->iss_known ? f->iss : Seq{}, theirs = f ? f->irs : Seq{};
  std::string number = f && f->number > 1 ? "#" + std::to_string(f->number) + " " : "";
  log_.push_back(seconds_text(at - start_) + (in ? " < " : " > ") + number +
                 to_text(p, in ? theirs : ours, in ? ours : theirs));
  if (log_.size() > kLogged) log_.pop_front();
}

void Runner::left(Packet&& p) {
  Flow* f = flow_of(p.tuple);
  if (f) {
    if (p.has(wire::kTcpSyn) && !f->iss_known) f->iss = p.seq, f->iss_known = true;
    if (p.options.has_timestamps) {
      if (!f->ts_known) f->ts_first = p.options.ts_val;
      f->ts_known = true;
      f->ts_last = p.options.ts_val;
    }
  }
  note(now_, false, p, f);
  out_.push_back({now_, std::move(p)});
}

void Runner::collect() {
  tcp::Event events[8];
  while (unsigned n = host_->stack().events(events)) {
    for (unsigned i = 0; i < n; i++) {
      tcp::Event& e = events[i];
      Flow* f = nullptr;
      if (e.kind == tcp::EventKind::accepted) {
        if (auto info = host_->stack().info(now_, e.conn)) f = flow_of(info->tuple);
        if (f) f->conn = e.conn;
      } else {
        f = flow_of(e.conn);
      }
      if (!f)
        throw Failed(std::string("an event of an unknown connection (kind ") +
                     std::to_string(static_cast<int>(e.kind)) + ")");
      if (e.kind == tcp::EventKind::data) {
        const uint8_t* bytes = rte_pktmbuf_mtod_offset(e.m, const uint8_t*, e.offset);
        if (f->check_pattern && Pattern(f->number).matches(f->received, bytes, e.length) != e.length)
          throw Failed("data was given to the application that is not the peer's, at byte " +
                       std::to_string(f->received));
        f->bytes.append(reinterpret_cast<const char*>(bytes), e.length);
        f->received += e.length;
        f->held.push_back({e.m, e.length});
      } else if (e.kind == tcp::EventKind::sent) {
        f->sent_events += e.bytes;
      } else {
        f->events.push_back(e);
      }
    }
  }
}

void Runner::settle(bool flush) {
  if (flush) host_->stack().flush(now_);
  collect();
}

void Runner::advance(Instant to, bool until_packet) {
  for (unsigned calls = 0;;) {
    if (until_packet && !out_.empty()) return;
    Instant next = host_->stack().next_deadline();
    if (next > to) break;
    calls = next <= now_ ? calls + 1 : 0;
    if (calls > 1000) throw Failed("next_deadline() stays in the past: tick() does not get on");
    now_ = std::max(now_, next);
    host_->stack().tick(now_);
    collect();
  }
  now_ = std::max(now_, to);
}

void Runner::quiet(const Step&) {
  if (out_.empty()) return;
  const Out& o = out_.front();
  Flow* f = flow_of(o.packet.tuple);
  throw Failed("the stack sent, at " + seconds_text(o.at - start_) +
               ", what no line before this one expects: " +
               to_text(o.packet, f && f->iss_known ? f->iss : Seq{}, f ? f->irs : Seq{}));
}

Packet Runner::packet_of(Flow& f, const PacketSpec& p) {
  Packet in;
  in.tuple = reversed(f.tuple);
  in.seq = p.raw_seq ? Seq{static_cast<uint32_t>(*p.seq)} : f.irs + static_cast<uint32_t>(*p.seq);
  in.flags = p.flags;
  if (p.ack) in.ack = p.raw_ack ? Seq{static_cast<uint32_t>(*p.ack)} : f.iss + static_cast<uint32_t>(*p.ack);
  in.window = p.window.value_or(65535);
  in.urgent = p.urgent;
  in.ecn = p.ecn.value_or(tcp::Ecn::not_ect);
  wire::TcpOptions& o = in.options = p.options.value;
  uint32_t elapsed = static_cast<uint32_t>((now_ - f.peer_ts_at).ms());
  if (o.has_timestamps) {
    if (p.options.any_ts_val) o.ts_val = f.peer_ts_first + elapsed;
    o.ts_ecr = p.options.any_ts_ecr                        ? f.ts_last
               : f.ts_known && !(p.flags == wire::kTcpSyn) ? f.ts_first + o.ts_ecr
                                                           : o.ts_ecr;
  } else if (!p.options.given && f.peer_ts && f.ts_known && !(p.flags & wire::kTcpRst)) {
    o.has_timestamps = true;
    o.ts_val = f.peer_ts_first + elapsed;
    o.ts_ecr = f.ts_last;
  }
  for (unsigned i = 0; i < o.sack_blocks; i++)
    o.sack[i] = {(f.iss + o.sack[i].left).v, (f.iss + o.sack[i].right).v};
  if (p.length && *p.length) {
    int64_t first = *p.seq - 1 + ((p.flags & wire::kTcpSyn) != 0);
    const uint8_t* bytes =
        Pattern(f.number).at(static_cast<uint64_t>(first + int64_t{Pattern::kPeriod} * 100'000));
    in.payload.assign(bytes, bytes + *p.length);
    if (p.fill) {
      std::fill(in.payload.begin(), in.payload.end(), static_cast<uint8_t>(*p.fill));
      f.check_pattern = false;
    }
  }
  return in;
}

void Runner::arrive(const PacketSpec& p) {
  Flow& f = flow(p.flow);
  if ((p.flags & wire::kTcpSyn) && p.options.value.has_timestamps) {
    f.peer_ts = true;
    f.peer_ts_first = p.options.value.ts_val;
    f.peer_ts_at = now_;
  }
  Packet in = packet_of(f, p);
  note(now_, true, in, &f);
  host_->deliver(now_, in, script_.mtu);
  settle(p.flush);
}

void Runner::check_payload(Flow& f, const Packet& p) {
  if (!p.length() || !f.iss_known || p.has(wire::kTcpSyn)) return;
  int32_t at = p.seq - f.iss - 1;
  if (at == -1 && p.length() == 1) return;  // a keepalive probe with a garbage byte (RFC 9293 3.8.4)
  if (at < 0 ||
      Pattern(1000 + f.number).matches(static_cast<uint64_t>(at), p.payload.data(), p.length()) != p.length())
    throw Failed("the packet's payload is not what the application sent there");
}

void Runner::compare_options(const Step& s, const Flow& f, const Packet& p) {
  const OptionSpec& want = s.packet.options;
  if (!want.given || want.any) return;
  wire::TcpOptions w = want.value, got = p.options;
  if (want.any_mss) w.mss = got.mss;
  if (want.any_scale) w.window_scale = got.window_scale;
  if (w.has_timestamps) w.ts_val = want.any_ts_val ? got.ts_val : f.ts_first + w.ts_val;
  if (want.any_ts_ecr) w.ts_ecr = got.ts_ecr;
  if (want.any_sack && got.sack_blocks)
    w.sack_blocks = got.sack_blocks, std::copy(got.sack, got.sack + wire::kMaxSackBlocks, w.sack);
  else
    for (unsigned i = 0; i < w.sack_blocks; i++)
      w.sack[i] = {(f.irs + w.sack[i].left).v, (f.irs + w.sack[i].right).v};
  for (unsigned i = got.sack_blocks; i < wire::kMaxSackBlocks; i++) got.sack[i] = {};
  for (unsigned i = w.sack_blocks; i < wire::kMaxSackBlocks; i++) w.sack[i] = {};
  if (!(w == got)) throw Failed("other options than expected");
}

void Runner::compare(const Step& s, const Packet& p) {
  const PacketSpec& want = s.packet;
  Flow& f = flow(want.flow);
  if (flow_of(p.tuple) != &f) throw Failed("the packet is of another connection");
  uint8_t flags = p.flags;
  if (want.any_push) flags = static_cast<uint8_t>((flags & ~wire::kTcpPsh) | (want.flags & wire::kTcpPsh));
  if (flags != want.flags)
    throw Failed("flags are " + flags_text(p.flags) + ", not " + flags_text(want.flags));
  auto seq_text = [&](Seq q, Seq base) { return std::to_string(q - base); };
  if (want.seq) {
    Seq q = want.raw_seq ? Seq{static_cast<uint32_t>(*want.seq)} : f.iss + static_cast<uint32_t>(*want.seq);
    if (p.seq != q)
      throw Failed("the sequence number is " + seq_text(p.seq, f.iss) + ", not " + std::to_string(*want.seq));
  }
  if (want.length && p.length() != *want.length)
    throw Failed("the payload has " + std::to_string(p.length()) + " bytes, not " +
                 std::to_string(*want.length));
  if (want.ack) {
    Seq a = want.raw_ack ? Seq{static_cast<uint32_t>(*want.ack)} : f.irs + static_cast<uint32_t>(*want.ack);
    if (p.ack != a)
      throw Failed("the acknowledgment is " + seq_text(p.ack, f.irs) + ", not " + std::to_string(*want.ack));
  }
  if (want.window && p.window != *want.window)
    throw Failed("the window is " + std::to_string(p.window) + ", not " + std::to_string(*want.window));
  if (want.ecn && p.ecn != *want.ecn) throw Failed("another ECN codepoint than expected");
  if (want.hop_limit && p.hop_limit != *want.hop_limit)
    throw Failed("hop limit " + std::to_string(p.hop_limit));
  compare_options(s, f, p);
  check_payload(f, p);
}

void Runner::expect(const Step& s, Instant when) {
  Duration slack = s.tolerance.ns >= 0 ? s.tolerance : kTolerance;
  Instant latest = s.when == Step::When::any ? now_ + Duration::seconds(3600) : when + slack;
  advance(latest, true);
  if (out_.empty()) throw Failed("nothing was sent until " + seconds_text(latest - start_));
  Out o = std::move(out_.front());
  out_.pop_front();
  compare(s, o.packet);
  if (s.when != Step::When::any && (o.at > when + slack || o.at < when - slack))
    throw Failed("sent at " + seconds_text(o.at - start_) + ", not " + seconds_text(when - start_) + " ± " +
                 seconds_text(slack));
  last_ = o.at;
}

void Runner::step(const Step& s) {
  Instant when = (s.when == Step::When::absolute ? start_ : last_) + s.time;
  if (s.kind == Step::Kind::out) return expect(s, when);
  if (when < now_) {
    if (now_ - when > kTolerance)
      throw Failed("its time has passed already: it is " + seconds_text(now_ - start_));
    when = now_;
  }
  advance(when);
  bool looks = s.kind == Step::Kind::command && (s.words[0] == "state" || s.words[0] == "anything" ||
                                                 s.words[0] == "info" || s.words[0] == "count");
  if (!looks) quiet(s);
  last_ = now_;
  if (s.kind == Step::Kind::in)
    arrive(s.packet);
  else
    command(s);
}

void Runner::run() {
  for (const Step& s : script_.steps) {
    try {
      step(s);
    } catch (const Failed& e) {
      throw Failed(script_.name + ":" + std::to_string(s.line) + ": " + e.what() + "\n  the line: " + s.text);
    }
  }
  quiet({});
  for (auto& [n, f] : flows_) {
    for (const tcp::Event& e : f.events)
      if (e.kind == tcp::EventKind::failed || e.kind == tcp::EventKind::closed)
        throw Failed(script_.name + ": the connection " +
                     (e.kind == tcp::EventKind::closed ? "closed" : "failed") + " (" + to_string(e.failure) +
                     ") and no line expects it");
    for (Held& h : f.held) host_->buffers().free(h.m);
    f.held.clear();
  }
}

std::optional<std::string> run_script(const Script& s) {
  std::optional<std::string> failure;
  {
    Runner r(s);
    try {
      r.run();
    } catch (const Failed& e) {
      failure = std::string(e.what()) + "\n" + r.log();
    }
  }
  if (unsigned n = pool().in_use(); n && !failure)
    failure = s.name + ": " + std::to_string(n) + " mbufs did not come back";
  return failure;
}

}  // namespace sluice::sim
