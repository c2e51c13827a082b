// Socket options, and what getsockopt tells of a connection.
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "packetdrill/host.h"

namespace sluice::drill {
namespace {

// Numbers of Linux's include/net/tcp_states.h, which has no public header.
enum : uint8_t {
  kEstablished = 1, kSynSent, kSynReceived, kFinWait1, kFinWait2, kTimeWait, kClosed, kCloseWait, kLastAck, kListening,
  kClosing
};

uint8_t linux_state(tcp::State s) {
  switch (s) {
    case tcp::State::closed: return kClosed;
    case tcp::State::listen: return kListening;
    case tcp::State::syn_sent: return kSynSent;
    case tcp::State::syn_received: return kSynReceived;
    case tcp::State::established: return kEstablished;
    case tcp::State::close_wait: return kCloseWait;
    case tcp::State::fin_wait_1: return kFinWait1;
    case tcp::State::fin_wait_2: return kFinWait2;
    case tcp::State::closing: return kClosing;
    case tcp::State::last_ack: return kLastAck;
    case tcp::State::time_wait: return kTimeWait;
  }
  return kClosed;
}

uint8_t linux_phase(std::string_view phase) {
  if (phase == "disorder") return TCP_CA_Disorder;
  if (phase == "cwr") return TCP_CA_CWR;
  if (phase == "recovery") return TCP_CA_Recovery;
  if (phase == "loss") return TCP_CA_Loss;
  return TCP_CA_Open;
}

uint32_t usec(Duration d) { return static_cast<uint32_t>(d.ns / 1000); }
uint32_t segments(uint32_t bytes, uint32_t mss) { return (bytes + mss - 1) / mss; }

void put(const void* from, size_t size, void* to, socklen_t* n) {
  std::memset(to, 0, *n);
  std::memcpy(to, from, std::min<size_t>(size, *n));
}

}  // namespace

void Host::fill_info(Socket& s, void* out, size_t n) {
  tcp_info t{};
  t.tcpi_state = s.kind == Socket::Kind::listener ? kListening : kClosed;
  t.tcpi_snd_ssthresh = INT32_MAX;
  t.tcpi_reordering = 3;
  t.tcpi_rcv_mss = s.largest_received ? std::min<uint32_t>(s.largest_received, 1460) : 536;
  t.tcpi_advmss = s.max_segment ? s.max_segment : static_cast<uint32_t>(mtu_of(s) - (s.v6 ? 60 : 40));
  t.tcpi_last_data_recv = static_cast<uint32_t>((now_ - s.last_data).ms());
  t.tcpi_busy_time = usec(s.busy);
  t.tcpi_rwnd_limited = usec(s.window_limited);
  t.tcpi_sndbuf_limited = usec(s.buffer_limited);
  if (const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn)) {
    const uint32_t mss = i->mss ? i->mss : 536;
    const uint32_t flight = static_cast<uint32_t>(i->snd_nxt - i->snd_una);
    t.tcpi_state = linux_state(i->state);
    t.tcpi_ca_state = linux_phase(i->phase);
    t.tcpi_options = static_cast<uint8_t>((i->timestamps ? TCPI_OPT_TIMESTAMPS : 0) | (i->sack ? TCPI_OPT_SACK : 0) |
                                          (i->snd_wind_shift || i->rcv_wind_shift ? TCPI_OPT_WSCALE : 0) |
                                          (i->ecn ? TCPI_OPT_ECN : 0));
    t.tcpi_snd_wscale = i->snd_wind_shift & 15;
    t.tcpi_rcv_wscale = i->rcv_wind_shift & 15;
    t.tcpi_rto = usec(i->rto);
    t.tcpi_snd_mss = mss;
    t.tcpi_unacked = segments(flight, mss);
    t.tcpi_sacked = segments(i->sacked, mss);
    t.tcpi_lost = segments(i->lost, mss);
    t.tcpi_pmtu = i->path_mtu;
    t.tcpi_rtt = usec(i->srtt);
    t.tcpi_rttvar = usec(i->rttvar);
    if (i->ssthresh != UINT32_MAX) t.tcpi_snd_ssthresh = i->ssthresh / mss;
    t.tcpi_snd_cwnd = i->cwnd / mss;
    t.tcpi_total_retrans = i->retransmissions;
    t.tcpi_notsent_bytes = i->send_queue > flight ? i->send_queue - flight : 0;
    t.tcpi_min_rtt = usec(i->rtt_min);
    t.tcpi_snd_wnd = i->snd_wnd;
  }
  socklen_t size = static_cast<socklen_t>(n);
  put(&t, sizeof t, out, &size);
}

void Host::fill_memory(Socket& s, uint32_t* out, size_t words) {
  std::fill_n(out, words, 0);
  const auto set = [&](unsigned which, uint32_t v) {
    if (which < words) out[which] = v;
  };
  set(SK_MEMINFO_RMEM_ALLOC, s.received_bytes);
  set(SK_MEMINFO_RCVBUF, s.receive_buffer ? s.receive_buffer : settings_.config.tuning.receive_buffer);
  set(SK_MEMINFO_SNDBUF, s.send_buffer ? s.send_buffer : settings_.send_buffer);
  set(SK_MEMINFO_WMEM_QUEUED, queued(s));
}

int Host::get_int(Socket& s, int level, int name, std::optional<int>& out) {
  const auto key = std::pair(level, name);
  if (key == std::pair(SOL_SOCKET, SO_ERROR)) out = pending_error(s);
  else if (key == std::pair(SOL_SOCKET, SO_TYPE)) out = SOCK_STREAM;
  else if (key == std::pair(SOL_SOCKET, SO_KEEPALIVE)) out = s.keepalive;
  else if (key == std::pair(SOL_SOCKET, SO_SNDBUF))
    out = static_cast<int>(s.send_buffer ? s.send_buffer : settings_.send_buffer);
  else if (key == std::pair(SOL_SOCKET, SO_RCVBUF))
    out = static_cast<int>(s.receive_buffer ? s.receive_buffer : settings_.config.tuning.receive_buffer);
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_NODELAY)) out = s.nodelay;
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_CORK)) out = s.cork;
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_INQ)) out = s.report_queue;
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_USER_TIMEOUT)) out = s.user_timeout_ms;
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_NOTSENT_LOWAT)) out = static_cast<int>(s.unsent_low_water);
  else if (key == std::pair<int, int>(IPPROTO_TCP, TCP_MAXSEG)) {
    const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
    out = i && i->mss ? i->mss : s.max_segment ? s.max_segment : 536;
  } else if (const auto i = s.other.find(key); i != s.other.end()) {
    out = i->second;
  }
  return out ? 0 : -1;
}

int Host::get_option(int fd, int level, int name, void* value, socklen_t* n) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (level == IPPROTO_TCP && name == TCP_INFO) {
    fill_info(*s, value, *n);
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_CC_INFO) {
    *n = 0;  // as of a congestion control that has nothing to tell
    return 0;
  }
  if (level == SOL_SOCKET && name == SO_MEMINFO) {
    std::array<uint32_t, SK_MEMINFO_VARS> words;
    fill_memory(*s, words.data(), words.size());
    put(words.data(), sizeof words, value, n);
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    const bool reno = settings_.config.tuning.congestion == tcp::CongestionControl::newreno;
    put(reno ? "reno" : "cubic", 6, value, n);
    return 0;
  }
  std::optional<int> v;
  if (get_int(*s, level, name, v) < 0) {
    errno = ENOPROTOOPT;
    return -1;
  }
  put(&*v, sizeof *v, value, n);
  *n = std::min<socklen_t>(*n, sizeof(int));
  return 0;
}

int Host::set_option(int fd, int level, int name, const void* value, socklen_t n) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  int v = 0;
  std::memcpy(&v, value, std::min<size_t>(n, sizeof v));
  const bool live = s->kind == Socket::Kind::stream && !s->conn.none();
  if (level == SOL_SOCKET && name == SO_SNDBUF) {
    s->send_buffer = std::max(4608u, 2 * static_cast<uint32_t>(v));
  } else if (level == SOL_SOCKET && name == SO_RCVBUF) {
    s->receive_buffer = std::max(2304u, 2 * static_cast<uint32_t>(v));
  } else if (level == SOL_SOCKET && name == SO_KEEPALIVE) {
    s->keepalive = v;
    if (live) stack().set_keepalive(now_, s->conn, v);
  } else if (level == SOL_SOCKET && name == SO_LINGER) {
    linger l{};
    std::memcpy(&l, value, std::min<size_t>(n, sizeof l));
    s->reset_on_close = l.l_onoff && l.l_linger == 0;
  } else if (level == SOL_SOCKET && name == SO_TIMESTAMPING) {
    s->timestamping = v;
    s->stamps_from = write_end(*s);
  } else if (level == IPPROTO_TCP && name == TCP_NODELAY) {
    s->nodelay = v;
    if (live) stack().set_nagle(s->conn, !v);
    if (v) uncork(*s, true);
  } else if (level == IPPROTO_TCP && name == TCP_CORK) {
    s->cork = v;
    if (!v) uncork(*s, true);
  } else if (level == IPPROTO_TCP && name == TCP_USER_TIMEOUT) {
    s->user_timeout_ms = v;
    if (live) stack().set_user_timeout(s->conn, Duration::millis(v));
  } else if (level == IPPROTO_TCP && name == TCP_MAXSEG) {
    s->max_segment = static_cast<uint16_t>(v);
  } else if (level == IPPROTO_TCP && name == TCP_INQ) {
    s->report_queue = v;
  } else if (level == IPPROTO_TCP && name == TCP_NOTSENT_LOWAT) {
    s->unsent_low_water = static_cast<uint32_t>(v);
  } else {
    s->other[{level, name}] = v;
  }
  settle(lock);
  return 0;
}

}  // namespace sluice::drill
