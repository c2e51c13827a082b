#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>

#include "tests/sim/script.h"

namespace sluice::sim {

namespace {

using Words = std::vector<std::string>;

[[noreturn]] void bad(const std::string& what) {
  throw std::invalid_argument(what);
}

int64_t number(std::string_view s) {
  int64_t v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || error != std::errc{} || end != s.data() + s.size())
    bad("'" + std::string(s) + "' is no number");
  return v;
}

Duration seconds(std::string_view s) {
  auto d = parse_seconds(s);
  if (!d) bad("'" + std::string(s) + "' is no time in seconds");
  return *d;
}

// Words by white space; what stands between < and > is one word.
Words split(std::string_view s) {
  Words w;
  for (size_t i = 0; i < s.size();) {
    if (s[i] == ' ' || s[i] == '\t') {
      i++;
      continue;
    }
    size_t end;
    if (s[i] == '<' && i + 1 < s.size() && s[i + 1] != ' ' && s[i + 1] != '+' && s[i + 1] != '=') {
      end = s.find('>', i);
      if (end == s.npos) bad("options are not closed by '>'");
      end++;
    } else {
      end = std::min(s.find_first_of(" \t", i), s.size());
    }
    w.emplace_back(s.substr(i, end - i));
    i = end;
  }
  return w;
}

uint8_t parse_flags(std::string_view s, bool& any_push) {
  static const std::map<char, uint8_t> kBit = {
      {'F', wire::kTcpFin}, {'S', wire::kTcpSyn}, {'R', wire::kTcpRst}, {'P', wire::kTcpPsh},
      {'.', wire::kTcpAck}, {'U', wire::kTcpUrg}, {'E', wire::kTcpEce}, {'W', wire::kTcpCwr}};
  uint8_t f = 0;
  for (char c : s) {
    if (c == '-') continue;
    if (c == '?') {
      any_push = true;
      continue;
    }
    auto i = kBit.find(c);
    if (i == kBit.end()) bad("'" + std::string(s) + "' are no flags (F S R P . U E W, - for none)");
    f |= i->second;
  }
  return f;
}

// "wscale 7" → 7; '*' sets `any`.
int64_t value_of(const Words& w, bool& any) {
  if (w.size() != 2) bad("option '" + w[0] + "' wants one value");
  if ((any = w[1] == "*")) return 0;
  return number(w[1]);
}

void parse_option(const std::string& text, OptionSpec& o) {
  Words w = split(text);
  if (w.empty() || w[0] == "nop" || w[0] == "eol") return;
  wire::TcpOptions& v = o.value;
  bool any = false;
  if (w[0] == "mss")
    v.has_mss = true, v.mss = static_cast<uint16_t>(value_of(w, o.any_mss));
  else if (w[0] == "sackOK")
    v.sack_permitted = true;
  else if (w[0] == "wscale")
    v.has_window_scale = true, v.window_scale = static_cast<uint8_t>(value_of(w, o.any_scale));
  else if (w[0] == "malformed")
    v.malformed = true;
  else if (w[0] == "TS") {
    if (w.size() != 5 || w[1] != "val" || w[3] != "ecr") bad("timestamps are written TS val N ecr N");
    v.has_timestamps = true;
    v.ts_val = static_cast<uint32_t>(value_of({w[0], w[2]}, o.any_ts_val));
    v.ts_ecr = static_cast<uint32_t>(value_of({w[0], w[4]}, o.any_ts_ecr));
  } else if (w[0] == "sack") {
    if (w.size() == 2 && w[1] == "*") o.any_sack = any = true;
    for (size_t i = 1; i < w.size() && !any; i++) {
      size_t colon = w[i].find(':');
      if (colon == w[i].npos || v.sack_blocks == wire::kMaxSackBlocks)
        bad("a SACK block is written LEFT:RIGHT, at most four");
      v.sack[v.sack_blocks++] = {static_cast<uint32_t>(number(w[i].substr(0, colon))),
                                 static_cast<uint32_t>(number(w[i].substr(colon + 1)))};
    }
  } else {
    bad("no option is called '" + w[0] + "'");
  }
}

OptionSpec parse_options(std::string_view s) {
  OptionSpec o;
  o.given = true;
  s = s.substr(1, s.size() - 2);
  if (s == "*")
    o.any = true;
  else
    for (size_t i = 0; i <= s.size();) {
      size_t end = std::min(s.find(',', i), s.size());
      parse_option(std::string(s.substr(i, end - i)), o);
      i = end + 1;
    }
  return o;
}

// SEQ:END(LENGTH), '*' for SEQ:END where it does not matter.
void parse_sequence(const std::string& s, PacketSpec& p) {
  size_t open = s.find('(');
  if (open == s.npos || s.back() != ')') bad("'" + s + "' is no SEQ:END(LENGTH)");
  std::string range = s.substr(0, open), length = s.substr(open + 1, s.size() - open - 2);
  if (length != "*") p.length = static_cast<uint32_t>(number(length));
  if (range == "*") return;
  if (range[0] == '=') p.raw_seq = true, range.erase(0, 1);
  size_t colon = range.find(':');
  if (colon == range.npos) bad("'" + s + "' is no SEQ:END(LENGTH)");
  p.seq = number(range.substr(0, colon));
  std::string end = range.substr(colon + 1);
  if (end[0] == '=') end.erase(0, 1);
  if (p.length && number(end) - *p.seq != *p.length) bad("'" + s + "': END - SEQ is not LENGTH");
}

PacketSpec parse_packet(const Words& w, size_t at) {
  static const std::map<std::string, tcp::Ecn> kEcn = {{"[noecn]", tcp::Ecn::not_ect},
                                                       {"[ect0]", tcp::Ecn::ect0},
                                                       {"[ect1]", tcp::Ecn::ect1},
                                                       {"[ce]", tcp::Ecn::ce}};
  PacketSpec p;
  for (; at < w.size() && (w[at][0] == '[' || w[at][0] == '#'); at++) {
    if (w[at][0] == '#')
      p.flow = static_cast<unsigned>(number(w[at].substr(1)));
    else if (auto e = kEcn.find(w[at]); e != kEcn.end())
      p.ecn = e->second;
    else
      bad("'" + w[at] + "' is no ECN codepoint");
  }
  if (at + 2 > w.size()) bad("a packet line wants flags and SEQ:END(LENGTH)");
  p.flags = parse_flags(w[at], p.any_push);
  parse_sequence(w[at + 1], p);
  for (at += 2; at < w.size(); at++) {
    if (w[at][0] == '<') {
      p.options = parse_options(w[at]);
      continue;
    }
    if (at + 1 == w.size()) bad("'" + w[at] + "' wants a value");
    const std::string &key = w[at], &value = w[++at];
    if (key == "ack") {
      if (value == "*") continue;
      p.raw_ack = value[0] == '=';
      p.ack = number(p.raw_ack ? value.substr(1) : value);
    } else if (key == "win") {
      if (value != "*") p.window = static_cast<uint16_t>(number(value));
    } else if (key == "urg")
      p.urgent = static_cast<uint16_t>(number(value));
    else if (key == "fill")
      p.fill = value[0];
    else if (key == "ttl")
      p.hop_limit = static_cast<uint8_t>(number(value));
    else
      bad("'" + key + "' is not part of a packet line");
  }
  return p;
}

void parse_time(std::string s, Step& step) {
  if (s == "*") {
    step.when = Step::When::any;
    return;
  }
  for (std::string_view mark : {"±", "~"})
    if (size_t i = s.find(mark); i != s.npos) {
      step.tolerance = seconds(s.substr(i + mark.size()));
      s.resize(i);
    }
  step.when = s[0] == '+' ? Step::When::relative : Step::When::absolute;
  if (s[0] != '+' && s[0] != '@') bad("a line starts with its time: +SECONDS, @SECONDS or *");
  step.time = seconds(s.substr(1));
}

using Set = std::function<void(Script&, const std::string&)>;
template <class T, class Of>
Set integer(T Of::*field, Of& (*of)(Script&)) {
  return [=](Script& s, const std::string& v) { of(s).*field = static_cast<T>(number(v)); };
}
tcp::Tuning& tuning(Script& s) {
  return s.config.tuning;
}
tcp::Limits& limits(Script& s) {
  return s.config.limits;
}
bool on_off(const std::string& v) {
  return v.empty() || v == "on" ? true : v == "off" ? false : (bad("on or off, not " + v), false);
}
Set flag(bool tcp::Tuning::*field) {
  return [=](Script& s, const std::string& v) { s.config.tuning.*field = on_off(v); };
}
Set span(Duration tcp::Tuning::*field) {
  return [=](Script& s, const std::string& v) { s.config.tuning.*field = seconds(v); };
}

const std::map<std::string, Set>& settings() {
  using T = tcp::Tuning;
  using L = tcp::Limits;
  static const std::map<std::string, Set> kSettings = {
      {"ipv6", [](Script& s, const std::string& v) { s.ipv6 = on_off(v); }},
      {"nagle", [](Script& s, const std::string& v) { s.nagle = s.config.tuning.nagle = on_off(v); }},
      {"mtu", [](Script& s, const std::string& v) { s.mtu = static_cast<uint16_t>(number(v)); }},
      {"irs", [](Script& s, const std::string& v) { s.irs = static_cast<uint32_t>(number(v)); }},
      {"buffers", [](Script& s, const std::string& v) { s.buffers = static_cast<uint32_t>(number(v)); }},
      {"congestion",
       [](Script& s, const std::string& v) {
         if (v != "cubic" && v != "newreno") bad("congestion is cubic or newreno");
         s.config.tuning.congestion =
             v == "cubic" ? tcp::CongestionControl::cubic : tcp::CongestionControl::newreno;
       }},
      {"ecn", flag(&T::ecn)},
      {"ecn_active", flag(&T::ecn_active)},
      {"sack", flag(&T::sack)},
      {"timestamps", flag(&T::timestamps)},
      {"window_scaling", flag(&T::window_scaling)},
      {"initial_window", integer(&T::initial_window, tuning)},
      {"hop_limit", integer(&T::hop_limit, tuning)},
      {"syn_retries", integer(&T::syn_retries, tuning)},
      {"syn_ack_retries", integer(&T::syn_ack_retries, tuning)},
      {"keepalive_probes", integer(&T::keepalive_probes, tuning)},
      {"mtu_probe_floor", integer(&T::mtu_probe_floor, tuning)},
      {"receive_buffer", integer(&T::receive_buffer, tuning)},
      {"send_buffer", integer(&T::send_buffer, tuning)},
      {"rto_initial", span(&T::rto_initial)},
      {"rto_min", span(&T::rto_min)},
      {"rto_max", span(&T::rto_max)},
      {"give_up", span(&T::give_up)},
      {"delayed_ack", span(&T::delayed_ack)},
      {"time_wait", span(&T::time_wait)},
      {"fin_wait_2", span(&T::fin_wait_2)},
      {"keepalive_idle", span(&T::keepalive_idle)},
      {"keepalive_interval", span(&T::keepalive_interval)},
      {"connections", integer(&L::connections, limits)},
      {"half_open", integer(&L::half_open, limits)},
      {"cookie_mark", integer(&L::cookie_mark, limits)},
      {"time_wait_limit", integer(&L::time_wait, limits)},
      {"out_of_order", integer(&L::out_of_order, limits)},
      {"chunks", integer(&L::chunks, limits)},
      {"records", integer(&L::records, limits)},
      {"challenge_acks_per_second", integer(&L::challenge_acks_per_second, limits)},
      {"resets_per_second", integer(&L::resets_per_second, limits)},
  };
  return kSettings;
}

// "with congestion newreno, no timestamps, ipv6"
void parse_with(std::string_view list, Script& to) {
  for (size_t i = 0; i <= list.size();) {
    size_t end = std::min(list.find(',', i), list.size());
    Words w = split(list.substr(i, end - i));
    i = end + 1;
    if (w.empty()) continue;
    if (w[0] == "no" && w.size() == 2) w = {w[1], "off"};
    auto s = settings().find(w[0]);
    if (s == settings().end()) bad("no setting is called '" + w[0] + "'");
    s->second(to, w.size() > 1 ? w[1] : "");
  }
}

Step parse_step(const Words& words) {
  Step s;
  parse_time(words[0], s);
  if (words.size() < 2) bad("nothing stands after the time");
  const std::string& what = words[1];
  if (what == "<" || what == "<+" || what == ">") {
    s.kind = what == ">" ? Step::Kind::out : Step::Kind::in;
    s.packet = parse_packet(words, 2);
    s.packet.flush = what != "<+";
    s.flow = s.packet.flow;
    if (s.kind == Step::Kind::in && (!s.packet.seq || !s.packet.length))
      bad("an arriving packet's numbers must be given");
    return s;
  }
  size_t at = 1;
  if (what[0] == '#') s.flow = static_cast<unsigned>(number(what.substr(1))), at++;
  for (; at < words.size(); at++) {
    if (words[at] == "->" && at + 1 < words.size())
      s.outcome = words[++at];
    else
      s.words.push_back(words[at]);
  }
  if (s.words.empty()) bad("nothing stands after the connection's number");
  return s;
}

void parse_line(std::string_view line, unsigned n, Script& to) {
  if (size_t comment = line.find("# "); comment != line.npos) line = line.substr(0, comment);
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  if (line.empty() || line == "#") return;
  if (line.starts_with("with ")) return parse_with(line.substr(5), to);
  if (line.starts_with("known-failure:")) {
    to.known_failure = line.substr(14);
    return;
  }
  Step s = parse_step(split(line));
  s.line = n;
  s.text = line;
  if (s.when == Step::When::any && s.kind != Step::Kind::out) bad("only what leaves may come at any time");
  to.steps.push_back(std::move(s));
}

}  // namespace

std::optional<Duration> parse_seconds(std::string_view s) {
  double v = 0;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  if (s.empty() || error != std::errc{} || end != s.data() + s.size()) return std::nullopt;
  return Duration::nanos(std::llround(v * 1e9));
}

std::optional<std::string> parse_script(std::string_view text, Script& to) {
  unsigned n = 0;
  for (size_t i = 0; i < text.size();) {
    size_t end = std::min(text.find('\n', i), text.size());
    n++;
    try {
      parse_line(text.substr(i, end - i), n, to);
    } catch (const std::invalid_argument& e) {
      return to.name + ":" + std::to_string(n) + ": " + e.what();
    }
    i = end + 1;
  }
  if (to.steps.empty()) return to.name + ": no line does anything";
  return std::nullopt;
}

}  // namespace sluice::sim
