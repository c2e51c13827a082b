#include "control/tcp_answers.h"

#include <algorithm>
#include <charconv>

namespace sluice::control {
namespace {

double ms(Duration d) { return static_cast<double>(d.ns) / 1e6; }
double seconds(Duration d) { return static_cast<double>(d.ns) / 1e9; }

template <class N>
bool number(std::string_view s, N& out) {
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), out);
  return error == std::errc() && end == s.data() + s.size();
}

}  // namespace

std::string to_string(const ConnName& n) {
  return std::to_string(n.stack) + "." + std::to_string(n.id.index) + "." + std::to_string(n.id.generation);
}

std::optional<ConnName> parse_conn_name(std::string_view text) {
  const size_t first = text.find('.'), last = text.rfind('.');
  ConnName n;
  if (first == text.npos || first == last || !number(text.substr(0, first), n.stack) ||
      !number(text.substr(first + 1, last - first - 1), n.id.index) || !number(text.substr(last + 1), n.id.generation))
    return std::nullopt;
  return n;
}

std::string to_string(const AddressPort& a) {
  const std::string s = to_string(a.address);
  return (a.address.family == 6 ? "[" + s + "]" : s) + ":" + std::to_string(a.port);
}

std::optional<AddressPort> parse_address_port(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == text.npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  const auto a = parse_ip(std::string(host));
  uint16_t port = 0;
  if (!a || (a->family == 6) != brackets || !number(text.substr(colon + 1), port)) return std::nullopt;
  return AddressPort{*a, port};
}

std::string service_of(const config::Model& m, const tcp::Info& i) {
  const auto has = [](const std::vector<IpAddr>& list, const IpAddr& a) {
    return std::find(list.begin(), list.end(), a) != list.end();
  };
  std::string any;
  for (const config::Service& s : m.services) {
    if (i.passive && s.port == i.tuple.local_port) {
      if (has(s.addresses, i.tuple.local)) return s.name;
      if (s.addresses.empty()) any = s.name;
    }
    for (const config::Backend& b : s.proxy.backends)
      if (!i.passive && b.address == i.tuple.remote && b.port == i.tuple.remote_port) return s.name;
  }
  return any;
}

json connection_row(const ConnName& n, const tcp::Info& i, const std::string& service) {
  return {{"id", to_string(n)},
          {"state", tcp::to_string(i.state)},
          {"local", to_string(AddressPort{i.tuple.local, i.tuple.local_port})},
          {"remote", to_string(AddressPort{i.tuple.remote, i.tuple.remote_port})},
          {"service", service},
          {"passive", i.passive},
          {"send_queue", i.send_queue},
          {"receive_queue", i.receive_queue + i.out_of_order + i.with_application},
          {"srtt_ms", ms(i.srtt)},
          {"cwnd", i.cwnd},
          {"retransmissions", i.retransmissions},
          {"age_seconds", seconds(i.age)},
          {"idle_seconds", seconds(i.idle)}};
}

json connection_in_full(const ConnName& n, const tcp::Info& i, const std::string& service) {
  json j = connection_row(n, i, service);
  j["stack"] = n.stack;
  j["orphan"] = i.orphan;
  j["peer_fin"] = i.peer_fin;
  j["paused"] = i.paused;
  j["options"] = {{"sack", i.sack},
                  {"timestamps", i.timestamps},
                  {"ecn", i.ecn},
                  {"snd_wind_shift", i.snd_wind_shift},
                  {"rcv_wind_shift", i.rcv_wind_shift},
                  {"snd_mss", i.snd_mss}};
  j["send"] = {{"iss", i.iss.v},          {"snd_una", i.snd_una.v}, {"snd_nxt", i.snd_nxt.v},
               {"snd_wnd", i.snd_wnd},    {"queue", i.send_queue},  {"in_flight", i.in_flight},
               {"lost", i.lost},          {"sacked", i.sacked},     {"retransmissions", i.retransmissions},
               {"mss", i.mss},            {"path_mtu", i.path_mtu}};
  j["receive"] = {{"irs", i.irs.v},
                  {"rcv_nxt", i.rcv_nxt.v},
                  {"rcv_wnd", i.rcv_wnd},
                  {"queue", i.receive_queue},
                  {"out_of_order", i.out_of_order},
                  {"with_application", i.with_application},
                  {"buffers", i.receive_buffers}};
  j["congestion"] = {{"control", i.congestion},
                     {"phase", i.phase},
                     {"cwnd", i.cwnd},
                     {"ssthresh", i.ssthresh == UINT32_MAX ? json(nullptr) : json(i.ssthresh)}};
  j["rtt"] = {{"srtt_ms", ms(i.srtt)}, {"rttvar_ms", ms(i.rttvar)}, {"min_ms", ms(i.rtt_min)}, {"rto_ms", ms(i.rto)}};
  j["timer"] = i.timer.empty() ? json(nullptr) : json{{"name", i.timer}, {"in_ms", ms(i.timer_in)}};
  return j;
}

}  // namespace sluice::control
