#include "tests/sim/packet.h"

#include <algorithm>

namespace sluice::sim {

using tcp::Seq;
using wire::TcpOptions;

tcp::Tuple reversed(const tcp::Tuple& t) {
  return {t.remote, t.local, t.remote_port, t.local_port};
}

std::vector<Packet> cut(const tcp::OutSegment& s) {
  Packet model;
  model.tuple = s.tuple;
  model.ack = s.ack;
  model.hop_limit = s.hop_limit;
  model.window = s.window;
  model.urgent = s.urgent;
  model.options = wire::parse_tcp_options(s.options);
  model.options_length = static_cast<uint16_t>(s.options.size());
  model.ecn = s.ecn;
  model.dont_fragment = s.dont_fragment;
  std::vector<uint8_t> bytes;
  for (const tcp::Slice& p : s.payload) bytes.insert(bytes.end(), p.data, p.data + p.length);

  std::vector<Packet> out;
  uint32_t at = 0;
  do {
    uint32_t n = std::min<uint32_t>(s.length - at, s.mss ? s.mss : s.length);
    Packet p = model;
    p.seq = s.seq + at;
    p.flags = s.flags;
    if (at + n < s.length) p.flags &= static_cast<uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
    if (at) p.flags &= static_cast<uint8_t>(~wire::kTcpCwr);
    p.payload.assign(bytes.begin() + at, bytes.begin() + at + n);
    out.push_back(std::move(p));
    at += n;
  } while (at < s.length);
  return out;
}

std::string flags_text(uint8_t flags) {
  static constexpr struct {
    uint8_t bit;
    char c;
  } kName[] = {{wire::kTcpFin, 'F'}, {wire::kTcpSyn, 'S'}, {wire::kTcpRst, 'R'}, {wire::kTcpPsh, 'P'},
               {wire::kTcpAck, '.'}, {wire::kTcpUrg, 'U'}, {wire::kTcpEce, 'E'}, {wire::kTcpCwr, 'W'}};
  std::string s;
  for (auto [bit, c] : kName)
    if (flags & bit) s += c;
  return s.empty() ? "-" : s;
}

static std::string options_text(const TcpOptions& o, Seq ack_base) {
  std::string s;
  auto add = [&s](const std::string& one) { s += (s.empty() ? "" : ",") + one; };
  if (o.has_mss) add("mss " + std::to_string(o.mss));
  if (o.sack_permitted) add("sackOK");
  if (o.has_timestamps) add("TS val " + std::to_string(o.ts_val) + " ecr " + std::to_string(o.ts_ecr));
  if (o.has_window_scale) add("wscale " + std::to_string(o.window_scale));
  if (o.sack_blocks) {
    std::string blocks = "sack";
    for (unsigned i = 0; i < o.sack_blocks; i++)
      blocks += " " + std::to_string(Seq{o.sack[i].left} - ack_base) + ":" +
                std::to_string(Seq{o.sack[i].right} - ack_base);
    add(blocks);
  }
  if (o.malformed) add("malformed");
  return "<" + s + ">";
}

std::string to_text(const Packet& p, Seq seq_base, Seq ack_base) {
  static constexpr const char* kEcn[] = {"", "[ect1] ", "[ect0] ", "[ce] "};
  int32_t from = p.seq - seq_base;
  std::string s =
      kEcn[static_cast<unsigned>(p.ecn)] + flags_text(p.flags) + " " + std::to_string(from) + ":" +
      std::to_string(from + static_cast<int32_t>(p.seg_len() - p.has(wire::kTcpSyn) - p.has(wire::kTcpFin))) +
      "(" + std::to_string(p.length()) + ")";
  if (p.has(wire::kTcpAck)) s += " ack " + std::to_string(p.ack - ack_base);
  s += " win " + std::to_string(p.window);
  if (p.has(wire::kTcpUrg)) s += " urg " + std::to_string(p.urgent);
  return s + " " + options_text(p.options, ack_base);
}

}  // namespace sluice::sim
