#include "stack/tcp_host.h"

namespace sluice::stack {

namespace {

constexpr uint16_t kFirstEphemeral = 32768, kEphemerals = 28232;  // up to 60999
constexpr unsigned kTries = 512;  // with eight engines, one that fails is rarer than 10⁻²⁹ while ports are free

}  // namespace

tcp::Outcome TcpHost::connect(Instant now, tcp::ConnectOptions o, tcp::ConnId& id) {
  const auto way = routes_.towards(o.tuple.remote);
  if (!way) return tcp::Outcome::invalid;
  if (o.tuple.local.none()) o.tuple.local = way->local;
  if (o.tuple.local.family != o.tuple.remote.family || !routes_.own(o.tuple.local)) return tcp::Outcome::invalid;
  o.path = way->path;
  o.mtu = way->mtu;
  if (routes_.comes_here(o.tuple)) return stack_.connect(now, o, id);
  // Answers to a port that is given would come to another engine, which knows nothing of the connection.
  return o.tuple.local_port ? tcp::Outcome::invalid : connect_somewhere(now, o, id);
}

// The library picks a port by itself (RFC 6056 3.3.3). Where its choice could lead answers to another engine, ports
// are drawn here until one does not (RFC 6056 3.3.1).
tcp::Outcome TcpHost::connect_somewhere(Instant now, tcp::ConnectOptions& o, tcp::ConnId& id) {
  tcp::Outcome last = tcp::Outcome::in_use;
  for (unsigned i = 0; i < kTries && last == tcp::Outcome::in_use; i++) {
    uint64_t z = random_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    o.tuple.local_port = static_cast<uint16_t>(kFirstEphemeral + ((z ^ z >> 31) >> 32) * kEphemerals / (uint64_t{1} << 32));
    if (routes_.comes_here(o.tuple)) last = stack_.connect(now, o, id);
  }
  return last;
}

}  // namespace sluice::stack
