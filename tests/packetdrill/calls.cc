// The calls that make, move and end connections. Errors are Linux's.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/sockios.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "packetdrill/host.h"

namespace sluice::drill {
namespace {

constexpr uint32_t kUnitOverhead = 768;  // bytes that Linux charges for a unit besides its data
constexpr Duration kCorkAtMost = Duration::millis(200);

int fail(int error) {
  errno = error;
  return -1;
}

struct Name {
  IpAddr address;
  uint16_t port = 0;
};

std::optional<Name> name_of(const sockaddr* a, socklen_t n) {
  Name out;
  if (a && n >= sizeof(sockaddr_in) && a->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, a, sizeof in);
    out = {Ip4{be32::from_raw(in.sin_addr.s_addr)}, ntohs(in.sin_port)};
    if (in.sin_addr.s_addr == INADDR_ANY) out.address = {};
  } else if (a && n >= sizeof(sockaddr_in6) && a->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, a, sizeof in);
    Ip6 ip;
    std::memcpy(ip.b.data(), &in.sin6_addr, 16);
    out = {ip, ntohs(in.sin6_port)};
    if (ip.unspecified()) out.address = {};
  } else {
    return {};
  }
  return out;
}

void put_name(const IpAddr& address, uint16_t port, sockaddr* a, socklen_t* n) {
  if (!a || !n) return;
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = address.v4().v.raw();
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.b.data(), 16);
  const bool is4 = address.family == 4;
  const socklen_t size = is4 ? sizeof v4 : sizeof v6;
  std::memcpy(a, is4 ? static_cast<const void*>(&v4) : &v6, std::min(*n, size));
  *n = size;
}

// Copies between the script's buffers and ours through the kernel: a bad pointer is EFAULT, not a crash.
bool copy(bool in, const iovec& ours, const iovec& theirs) {
  if (ours.iov_len == 0) return true;
  const ssize_t n = in ? process_vm_readv(getpid(), &ours, 1, &theirs, 1, 0)
                       : process_vm_writev(getpid(), &ours, 1, &theirs, 1, 0);
  return n == static_cast<ssize_t>(ours.iov_len);
}

// What send() references until it is acknowledged.
struct Chunk final : tcp::Keeper {
  std::vector<uint8_t> bytes;
  void release() override { delete this; }
};

}  // namespace

// --- the table of sockets

bool Host::owns(int fd) {
  Lock lock(mutex_);
  return sockets_.count(fd) > 0;
}

Socket* Host::any(int fd) {
  const auto i = sockets_.find(fd);
  if (i != sockets_.end()) return i->second.get();
  errno = EBADF;
  return nullptr;
}

Socket* Host::find(int fd, Socket::Kind kind) {
  Socket* s = any(fd);
  if (s && s->kind != kind) errno = EINVAL;
  return s && s->kind == kind ? s : nullptr;
}

// The number comes from the kernel, so that no file of the tool's has it at the same time.
int Host::adopt(std::unique_ptr<Socket> s) {
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  s->fd = fd;
  sockets_[fd] = std::move(s);
  return fd;
}

Socket* Host::stream_of(tcp::ConnId id) {
  for (const auto& [fd, s] : sockets_)
    if (s->conn == id && s->kind == Socket::Kind::stream) return s.get();
  for (const auto& s : unaccepted_)
    if (s->conn == id) return s.get();
  return nullptr;
}

Socket* Host::stream_of(const tcp::Tuple& t) {
  const auto has = [&](const Socket& s) {
    const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
    return i && i->tuple == t;
  };
  for (const auto& [fd, s] : sockets_)
    if (has(*s)) return s.get();
  for (const auto& s : unaccepted_)
    if (has(*s)) return s.get();
  return nullptr;
}

int Host::open_socket(int domain, int type, int protocol) {
  Lock lock(mutex_);
  if (domain != AF_INET && domain != AF_INET6) return fail(EAFNOSUPPORT);
  if ((type & 0xf) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) return fail(EPROTONOSUPPORT);
  stack();
  auto s = std::make_unique<Socket>();
  s->v6 = domain == AF_INET6;
  s->nonblocking = type & SOCK_NONBLOCK;
  return adopt(std::move(s));
}

int Host::bind(int fd, const sockaddr* a, socklen_t n) {
  Lock lock(mutex_);
  Socket* s = find(fd, Socket::Kind::fresh);
  if (!s) return -1;
  const std::optional<Name> name = name_of(a, n);
  if (!name) return fail(EINVAL);
  s->address = name->address;
  s->port = name->port;
  return 0;
}

int Host::listen(int fd, int) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->kind == Socket::Kind::listener) return 0;
  if (s->kind != Socket::Kind::fresh || s->port == 0) return fail(EINVAL);
  tcp::ListenOptions o{.address = s->address, .port = s->port, .nagle = !s->nodelay, .keepalive = s->keepalive,
                       .user_timeout = Duration::millis(s->user_timeout_ms)};
  o.receive_buffer = s->receive_buffer;
  if (stack().listen(o, s->listener) != tcp::Outcome::ok) return fail(EADDRINUSE);
  s->kind = Socket::Kind::listener;
  return 0;
}

int Host::accept(int fd, sockaddr* a, socklen_t* n) {
  Lock lock(mutex_);
  Socket* l = find(fd, Socket::Kind::listener);
  if (!l) return -1;
  if (l->accepted.empty() && l->nonblocking) return fail(EAGAIN);
  if (!wait(lock, [&] { return !l->accepted.empty(); })) return fail(EINTR);
  Socket* s = l->accepted.front();
  l->accepted.pop_front();
  const auto i = std::find_if(unaccepted_.begin(), unaccepted_.end(), [&](const auto& p) { return p.get() == s; });
  std::unique_ptr<Socket> own = std::move(*i);
  unaccepted_.erase(i);
  if (const auto info = stack().info(now_, s->conn)) put_name(info->tuple.remote, info->tuple.remote_port, a, n);
  return adopt(std::move(own));
}

int Host::connect(int fd, const sockaddr* a, socklen_t n) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->kind == Socket::Kind::stream) {
    if (s->connecting) return fail(EALREADY);
    if (s->error) return fail(std::exchange(s->error, 0));
    return fail(EISCONN);
  }
  const std::optional<Name> to = name_of(a, n);
  if (!to || to->address.none() || s->kind != Socket::Kind::fresh) return fail(EINVAL);
  tcp::ConnectOptions o;
  o.tuple = {s->address, to->address, s->port, to->port};
  // packetdrill's own defaults for the address of the host under test.
  if (s->address.none()) o.tuple.local = *parse_ip(to->address.family == 4 ? "192.168.0.1" : "fd3d:0a0b:17d6::1");
  o.mtu = mtu_of(*s);
  o.nagle = !s->nodelay;
  o.keepalive = s->keepalive;
  o.receive_buffer = s->receive_buffer;
  o.user_timeout = Duration::millis(s->user_timeout_ms);
  if (stack().connect(now_, o, s->conn) != tcp::Outcome::ok) return fail(EADDRNOTAVAIL);
  s->kind = Socket::Kind::stream;
  s->connecting = true;
  settle(lock);
  if (s->nonblocking) return fail(EINPROGRESS);
  if (!wait(lock, [&] { return !s->connecting; })) return fail(EINTR);
  return s->error ? fail(std::exchange(s->error, 0)) : 0;
}

int Host::shutdown(int fd, int how) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->kind != Socket::Kind::stream || !s->connected || s->conn.none()) return fail(ENOTCONN);
  if (how == SHUT_RD || how == SHUT_RDWR) s->shut_read = true;
  if ((how == SHUT_WR || how == SHUT_RDWR) && !s->shut_write) {
    uncork(*s, true);
    s->shut_write = true;
    stack().shutdown(now_, s->conn);
  }
  s->news = true;
  settle(lock);
  return 0;
}

void Host::forget(Socket& s) {
  if (!s.conn.none()) {
    uncork(s, true);
    // What was handed over and not read counts as not taken (RFC 9293 SHLD-3).
    if (s.reset_on_close || s.received_bytes > 0) stack().abort(now_, s.conn);
    else stack().close(now_, s.conn);
  }
  for (const Socket::Piece& p : s.received) buffers_->free(p.m);
  s.received.clear();
}

int Host::close(int fd) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->kind == Socket::Kind::listener) {
    stack().unlisten(s->listener);
    for (Socket* waiting : s->accepted) {
      waiting->reset_on_close = true;
      forget(*waiting);
      std::erase_if(unaccepted_, [&](const auto& p) { return p.get() == waiting; });
    }
  }
  forget(*s);
  for (const auto& [other, e] : sockets_) e->watched.erase(fd);
  sockets_.erase(fd);
  ::syscall(SYS_close, fd);  // not close(): that is ours too
  settle(lock);
  return 0;
}

// --- data

int Host::pending_error(Socket& s) { return std::exchange(s.error, 0); }

// Takes bytes out of the receive queue, in order. -1: a bad pointer.
ssize_t Host::take(Socket& s, const iovec* to, size_t pieces, bool peek) {
  size_t done = 0, item = 0, at = 0;
  for (size_t i = 0; i < pieces; i++) {
    for (size_t filled = 0; filled < to[i].iov_len && item < s.received.size();) {
      const Socket::Piece& p = s.received[item];
      const size_t n = std::min<size_t>(p.length - at, to[i].iov_len - filled);
      uint8_t* from = rte_pktmbuf_mtod_offset(p.m, uint8_t*, p.offset + at);
      if (!copy(false, {from, n}, {static_cast<uint8_t*>(to[i].iov_base) + filled, n})) return fail(EFAULT);
      filled += n;
      done += n;
      at += n;
      if (at == p.length) item++, at = 0;
    }
  }
  if (peek || done == 0) return static_cast<ssize_t>(done);
  for (; item > 0; item--) {
    buffers_->free(s.received.front().m);
    s.received.pop_front();
  }
  if (at > 0) {
    s.received.front().offset = static_cast<uint16_t>(s.received.front().offset + at);
    s.received.front().length = static_cast<uint16_t>(s.received.front().length - at);
  }
  s.received_bytes -= static_cast<uint32_t>(done);
  if (!s.conn.none()) stack().receive_done(now_, s.conn, static_cast<uint32_t>(done));
  return static_cast<ssize_t>(done);
}

ssize_t Host::receive(int fd, const iovec* to, size_t pieces, int flags, msghdr* message) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->kind != Socket::Kind::stream) return fail(ENOTCONN);
  if (flags & MSG_ERRQUEUE) return message && next_stamp(*s, *message) ? 0 : fail(EAGAIN);
  const auto ready = [&] {
    return s->received_bytes > 0 || s->peer_closed || s->shut_read || s->error || (s->conn.none() && !s->connecting);
  };
  if (!ready() && (s->nonblocking || flags & MSG_DONTWAIT)) return fail(EAGAIN);
  if (!wait(lock, ready)) return fail(EINTR);
  if (s->received_bytes == 0 && s->error) return fail(pending_error(*s));
  const ssize_t n = take(*s, to, pieces, flags & MSG_PEEK);
  settle(lock);
  if (n < 0 || !message) return n;
  message->msg_flags = 0;
  cmsghdr* c = s->report_queue ? CMSG_FIRSTHDR(message) : nullptr;
  if (c && message->msg_controllen >= CMSG_SPACE(sizeof(int))) {
    // With nothing left but the peer's FIN, one more: so that the reader knows that another read is worth it.
    const int left = s->received_bytes ? static_cast<int>(s->received_bytes) : s->peer_closed;
    c->cmsg_level = SOL_TCP;
    c->cmsg_type = TCP_CM_INQ;
    c->cmsg_len = CMSG_LEN(sizeof left);
    std::memcpy(CMSG_DATA(c), &left, sizeof left);
    message->msg_controllen = CMSG_SPACE(sizeof left);
  } else {
    message->msg_controllen = 0;
  }
  return n;
}

uint32_t Host::queued(const Socket& s) {
  const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
  return i ? i->send_queue : 0;
}

uint32_t Host::unsent(const Socket& s) {
  const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
  if (!i) return 0;
  const uint32_t flight = static_cast<uint32_t>(i->snd_nxt - i->snd_una);
  return i->send_queue > flight ? i->send_queue - flight : 0;
}

uint32_t Host::room(Socket& s) {
  if (s.conn.none()) return 0;
  if (unsent(s) >= (s.unsent_low_water ? s.unsent_low_water : settings_.unsent_low_water)) return 0;
  const uint32_t limit = s.send_buffer ? s.send_buffer : settings_.send_buffer;
  const uint32_t bytes = queued(s) + static_cast<uint32_t>(s.corked.size());
  const uint32_t held = bytes + (s.unit ? (bytes + s.unit - 1) / s.unit * kUnitOverhead : 0);
  const uint32_t by_stack = stack().send_room(s.conn);
  const uint32_t corked = static_cast<uint32_t>(s.corked.size());
  return std::min(limit > held ? limit - held : 0, by_stack > corked ? by_stack - corked : 0);
}

bool Host::writable(Socket& s) {
  const uint32_t limit = s.send_buffer ? s.send_buffer : settings_.send_buffer;
  return room(s) > 0 && limit - std::min(limit, queued(s)) >= queued(s) / 2;
}

// Linux takes data in units of at most half of the largest window seen, whole segments, and asks only at the start of
// one whether there is room: so a write may go beyond the buffer's size.
uint32_t Host::unit_room(Socket& s) {
  const auto i = s.conn.none() ? std::nullopt : stack().info(now_, s.conn);
  if (!i || i->mss == 0) return room(s);
  s.largest_window = std::max(s.largest_window, i->snd_wnd);
  s.unit = std::max<uint32_t>(std::min(s.largest_window / 2, 65535u) / i->mss * i->mss, i->mss);
  const uint32_t begun = (unsent(s) + static_cast<uint32_t>(s.corked.size())) % s.unit;
  if (begun == 0 && room(s) == 0) return 0;
  return std::min(s.unit - begun, stack().send_room(s.conn) - static_cast<uint32_t>(s.corked.size()));
}

// Hands what is held back to the stack: all of it, or full segments alone.
void Host::uncork(Socket& s, bool whole) {
  if (whole) s.uncork_at = Instant::never();
  if (s.corked.empty() || s.conn.none()) return;
  size_t n = s.corked.size();
  if (!whole) {
    const auto i = stack().info(now_, s.conn);
    const size_t mss = i && i->mss ? i->mss : 536;
    n = n / mss * mss;
  }
  // Behind the end of a record (MSG_EOR) only when all before it is sent: so no segment holds two records' bytes.
  while (!s.record_ends.empty() && s.record_ends.front() <= s.taken) s.record_ends.pop_front();
  const bool to_record_end = !s.record_ends.empty() && s.record_ends.front() - s.taken <= n;
  if (to_record_end) n = s.record_ends.front() - s.taken;
  if (s.at_record_end && unsent(s) > 0) return;
  if (n == 0) return;
  s.at_record_end = to_record_end;
  stack().set_nagle(s.conn, !s.nodelay && !to_record_end);
  auto* chunk = new Chunk;
  chunk->bytes.assign(s.corked.begin(), s.corked.begin() + static_cast<ptrdiff_t>(n));
  const tcp::Slice slice{chunk->bytes.data(), static_cast<uint32_t>(n), nullptr, chunk};
  if (stack().send(now_, s.conn, {&slice, 1}) != tcp::Outcome::ok) return chunk->release();
  s.corked.erase(s.corked.begin(), s.corked.begin() + static_cast<ptrdiff_t>(n));
  s.taken += n;
}

ssize_t Host::push(Socket& s, wire::ConstBytes bytes) {
  const size_t n = std::min<size_t>(bytes.size(), unit_room(s));
  s.corked.insert(s.corked.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
  return static_cast<ssize_t>(n);
}

ssize_t Host::send(int fd, const iovec* from, size_t pieces, int flags) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (!s) return -1;
  if (s->error) return fail(pending_error(*s));
  if (s->kind != Socket::Kind::stream) return fail(EPIPE);
  const bool blocking = !s->nonblocking && !(flags & MSG_DONTWAIT);
  if (s->connecting && !(blocking && wait(lock, [&] { return !s->connecting; }))) return fail(EAGAIN);
  if (s->conn.none() || s->shut_write) return fail(EPIPE);
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < pieces; i++) {
    const size_t n = from[i].iov_len;
    bytes.resize(bytes.size() + n);
    if (!copy(true, {bytes.data() + bytes.size() - n, n}, from[i])) return fail(EFAULT);
  }
  const bool hold = s->cork || flags & MSG_MORE;
  size_t done = 0;
  while (done < bytes.size()) {
    done += static_cast<size_t>(push(*s, wire::ConstBytes(bytes).subspan(done)));
    if (flags & MSG_EOR && done == bytes.size()) s->record_ends.push_back(s->taken + s->corked.size());
    // Within a write Linux pushes when more than half of the largest window has come since it last did.
    const bool much = write_end(*s) - s->pushed_at > static_cast<int32_t>(s->largest_window / 2);
    s->push_withheld = flags & MSG_MORE || (done < bytes.size() && !much);
    if (!s->push_withheld) s->pushed_at = write_end(*s);
    if (done == bytes.size()) want_stamps(*s);
    uncork(*s, !hold);
    settle(lock);
    if (done == bytes.size()) break;
    if (unit_room(*s) > 0) continue;
    s->out_of_room = true;
    if (!blocking) break;
    s->sending = true;
    wait(lock, [&] { return writable(*s) || s->error || s->conn.none(); });
    s->sending = false;
    if (s->error || s->conn.none()) break;
  }
  if (done > 0 && done < bytes.size()) want_stamps(*s);
  if (hold && !s->corked.empty() && s->uncork_at == Instant::never()) s->uncork_at = now_ + kCorkAtMost;
  if (!hold) s->push_withheld = false;
  if (done > 0 || bytes.empty()) return static_cast<ssize_t>(done);
  return fail(s->error ? pending_error(*s) : s->conn.none() ? EPIPE : EAGAIN);
}

// --- small ones

int Host::set_flags(int fd, int flags) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  if (s) s->nonblocking = flags & O_NONBLOCK;
  return s ? 0 : -1;
}

int Host::get_flags(int fd) {
  Lock lock(mutex_);
  Socket* s = any(fd);
  return s ? O_RDWR | (s->nonblocking ? O_NONBLOCK : 0) : -1;
}

int Host::queue_length(int fd, unsigned long request, int* out) {
  Lock lock(mutex_);
  Socket* s = find(fd, Socket::Kind::stream);
  if (!s) return -1;
  if (request == SIOCINQ) *out = static_cast<int>(s->received_bytes);
  else if (request == SIOCOUTQ) *out = static_cast<int>(queued(*s));
  else if (request == SIOCOUTQNSD) *out = static_cast<int>(unsent(*s));
  else return fail(ENOTTY);
  return 0;
}

}  // namespace sluice::drill
