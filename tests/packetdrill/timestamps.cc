// SO_TIMESTAMPING of what is sent: when the last byte of a write was handed down, left, and was acknowledged. The
// first two are one moment here. Told by recvmsg(MSG_ERRQUEUE), each with the write's key.
#include <time.h>

#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "packetdrill/host.h"

namespace sluice::drill {
namespace {

template <class Address>
struct Report {
  sock_extended_err error;
  Address offender;  // Linux says who reported it: nobody, here
};

template <class T>
cmsghdr* put(msghdr& m, cmsghdr* c, int level, int type, const T& value) {
  if (!c) return nullptr;
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(sizeof value);
  std::memcpy(CMSG_DATA(c), &value, sizeof value);
  return CMSG_NXTHDR(&m, c);
}

}  // namespace

// Behind the last byte that was written, held back ones included.
tcp::Seq Host::write_end(const Socket& s) {
  const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
  return i ? i->snd_una + (i->send_queue + static_cast<uint32_t>(s.corked.size())) : tcp::Seq{};
}

void Host::want_stamps(Socket& s) {
  if (!(s.timestamping & SOF_TIMESTAMPING_OPT_ID) || s.conn.none()) return;
  const tcp::Seq end = write_end(s);
  s.wanted.push_back({end, static_cast<uint32_t>(end - s.stamps_from) - 1});
}

void Host::stamp_sent(Socket& s, tcp::Seq end) {
  for (Socket::Wanted& w : s.wanted) {
    if (w.sent || w.end > end) continue;
    w.sent = true;
    if (s.timestamping & SOF_TIMESTAMPING_TX_SCHED) s.stamps.push_back({now_, SCM_TSTAMP_SCHED, w.key});
    if (s.timestamping & SOF_TIMESTAMPING_TX_SOFTWARE) s.stamps.push_back({now_, SCM_TSTAMP_SND, w.key});
  }
}

void Host::stamp_acked(Socket& s) {
  const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
  while (i && !s.wanted.empty() && s.wanted.front().end <= i->snd_una) {
    if (s.timestamping & SOF_TIMESTAMPING_TX_ACK) s.stamps.push_back({now_, SCM_TSTAMP_ACK, s.wanted.front().key});
    s.wanted.pop_front();
  }
}

bool Host::next_stamp(Socket& s, msghdr& m) {
  if (s.stamps.empty()) return false;
  const Socket::Stamp stamp = s.stamps.front();
  s.stamps.pop_front();
  scm_timestamping times{};
  times.ts[0] = {stamp.at.ns / 1'000'000'000, stamp.at.ns % 1'000'000'000};
  sock_extended_err error{};
  error.ee_errno = ENOMSG;
  error.ee_origin = SO_EE_ORIGIN_TIMESTAMPING;
  error.ee_info = stamp.what;
  error.ee_data = stamp.key;
  cmsghdr* c = put(m, CMSG_FIRSTHDR(&m), SOL_SOCKET, SO_TIMESTAMPING, times);
  if (s.v6) put(m, c, SOL_IPV6, IPV6_RECVERR, Report<sockaddr_in6>{error, {}});
  else put(m, c, SOL_IP, IP_RECVERR, Report<sockaddr_in>{error, {}});
  m.msg_flags = MSG_ERRQUEUE | MSG_TRUNC;
  return true;
}

}  // namespace sluice::drill
