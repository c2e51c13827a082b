// poll and epoll. Edge-triggered watchers are told of a socket when something has happened to it since they were.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "packetdrill/host.h"

namespace sluice::drill {
namespace {

Instant deadline_of(Instant now, int timeout_ms) {
  return timeout_ms < 0 ? Instant::never() : now + Duration::millis(timeout_ms);
}

}  // namespace

uint32_t Host::ready_mask(Socket& s) {
  uint32_t m = 0;
  if (s.kind == Socket::Kind::listener) return s.accepted.empty() ? 0 : EPOLLIN | EPOLLRDNORM;
  if (s.kind != Socket::Kind::stream) return EPOLLOUT | EPOLLHUP;
  if (s.error) m |= EPOLLERR;
  if (s.connecting) return m;
  const bool dead = s.conn.none();
  if (s.received_bytes || s.peer_closed || s.shut_read || dead) m |= EPOLLIN | EPOLLRDNORM;
  if (s.peer_closed || s.shut_read || dead) m |= EPOLLRDHUP;
  if ((s.shut_read || s.peer_closed || dead) && (s.shut_write || dead)) m |= EPOLLHUP;
  if (writable(s) || s.shut_write || dead) m |= EPOLLOUT | EPOLLWRNORM;
  else s.out_of_room = true;
  return m;
}

int Host::poll(pollfd* fds, nfds_t count, int timeout_ms) {
  Lock lock(mutex_);
  int ready = 0;
  const auto look = [&] {
    ready = 0;
    for (nfds_t i = 0; i < count; i++) {
      fds[i].revents = 0;
      if (fds[i].fd < 0) continue;
      const auto s = sockets_.find(fds[i].fd);
      if (s == sockets_.end()) fds[i].revents = POLLNVAL;
      else
        fds[i].revents = static_cast<short>(ready_mask(*s->second) &
                                            (static_cast<uint16_t>(fds[i].events) | POLLERR | POLLHUP));
      ready += fds[i].revents != 0;
    }
    return ready > 0;
  };
  wait(lock, look, deadline_of(now_, timeout_ms));
  return ready;
}

int Host::epoll_create() {
  Lock lock(mutex_);
  auto s = std::make_unique<Socket>();
  s->kind = Socket::Kind::epoll;
  return adopt(std::move(s));
}

int Host::epoll_ctl(int epfd, int op, int fd, epoll_event* e) {
  Lock lock(mutex_);
  Socket* ep = find(epfd, Socket::Kind::epoll);
  Socket* s = any(fd);
  if (!ep || !s) return -1;
  const bool there = ep->watched.count(fd) > 0;
  if (there == (op == EPOLL_CTL_ADD)) {
    errno = there ? EEXIST : ENOENT;
    return -1;
  }
  if (op == EPOLL_CTL_DEL) {
    ep->watched.erase(fd);
    return 0;
  }
  ep->watched[fd] = {e->events, e->data.u64};
  s->news = true;
  return 0;
}

int Host::epoll_wait(int epfd, epoll_event* out, int most, int timeout_ms) {
  Lock lock(mutex_);
  Socket* ep = find(epfd, Socket::Kind::epoll);
  if (!ep) return -1;
  int n = 0;
  const auto look = [&] {
    n = 0;
    for (auto& [fd, watch] : ep->watched) {
      Socket* s = any(fd);
      const uint32_t ready = s ? ready_mask(*s) & (watch.events | EPOLLERR | EPOLLHUP) : 0;
      if (!ready || n == most || (watch.events & EPOLLET && !s->news)) continue;
      s->news = false;
      out[n].events = ready;
      out[n++].data.u64 = watch.data;
      if (watch.events & EPOLLONESHOT) watch.events = 0;
    }
    return n > 0;
  };
  wait(lock, look, deadline_of(now_, timeout_ms));
  return n;
}

}  // namespace sluice::drill
