// What the shared object exports: packetdrill_interface_init for --so_filename, and, preloaded (LD_PRELOAD names the
// same file), the few functions that packetdrill calls past its table: close() and getsockopt() of our sockets;
// times(), mlockall() and sched_setscheduler(), with which it waits for the kernel's clock and takes the machine for
// itself.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/times.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>

#include "packetdrill/host.h"
#include "packetdrill/interface.h"

namespace sluice::drill {
namespace {

std::atomic<Host*> the_host;  // of this process; there is one script

Host& host(User u) { return *static_cast<Host*>(u); }

int refuse(int error) {
  errno = error;
  return -1;
}

ssize_t read(User u, int fd, void* to, size_t n) {
  const iovec v{to, n};
  return host(u).receive(fd, &v, 1, 0);
}
ssize_t readv(User u, int fd, const iovec* v, int n) { return host(u).receive(fd, v, static_cast<size_t>(n), 0); }
ssize_t recv(User u, int fd, void* to, size_t n, int flags) {
  const iovec v{to, n};
  return host(u).receive(fd, &v, 1, flags);
}
ssize_t recvfrom(User u, int fd, void* to, size_t n, int flags, sockaddr*, socklen_t*) {
  return recv(u, fd, to, n, flags);
}
ssize_t recvmsg(User u, int fd, msghdr* m, int flags) {
  return host(u).receive(fd, m->msg_iov, m->msg_iovlen, flags, m);
}
ssize_t write(User u, int fd, const void* from, size_t n) {
  const iovec v{const_cast<void*>(from), n};
  return host(u).send(fd, &v, 1, 0);
}
ssize_t writev(User u, int fd, const iovec* v, int n) { return host(u).send(fd, v, static_cast<size_t>(n), 0); }
ssize_t send(User u, int fd, const void* from, size_t n, int flags) {
  const iovec v{const_cast<void*>(from), n};
  return host(u).send(fd, &v, 1, flags);
}
ssize_t sendto(User u, int fd, const void* from, size_t n, int flags, const sockaddr*, socklen_t) {
  return send(u, fd, from, n, flags);
}
ssize_t sendmsg(User u, int fd, const msghdr* m, int flags) {
  return host(u).send(fd, m->msg_iov, m->msg_iovlen, flags);
}

int fcntl(User u, int fd, int command, ...) {
  va_list args;
  va_start(args, command);
  const int flags = command == F_SETFL ? va_arg(args, int) : 0;
  va_end(args);
  if (command == F_SETFL) return host(u).set_flags(fd, flags);
  return command == F_GETFL ? host(u).get_flags(fd) : refuse(EINVAL);
}
int ioctl(User u, int fd, unsigned long request, ...) {
  va_list args;
  va_start(args, request);
  int* out = va_arg(args, int*);
  va_end(args);
  return host(u).queue_length(fd, request, out);
}

int netdev_send(User u, const void* packet, size_t n) {
  host(u).packet_in({static_cast<const uint8_t*>(packet), n});
  return 0;
}
int netdev_receive(User u, void* to, size_t* n, long long* usec) {
  int64_t when = 0;
  const std::optional<Packet> p = host(u).packet_out(when);
  if (p && p->size() > *n) return -1;
  *n = p ? p->size() : 0;
  if (p) std::memcpy(to, p->data(), p->size());
  *usec = when;
  return 0;
}
int usleep(User u, useconds_t n) {
  host(u).sleep_usec(n);
  return 0;
}
int gettimeofday(User u, timeval* out, struct timezone*) {
  const int64_t t = host(u).gettimeofday_usec();
  *out = {t / 1'000'000, t % 1'000'000};
  return 0;
}

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

// Children (shell lines, the script's python) are not to be preloaded.
[[gnu::constructor]] void loaded() { unsetenv("LD_PRELOAD"); }

}  // namespace
}  // namespace sluice::drill

using namespace sluice::drill;

extern "C" {

void packetdrill_interface_init(const char*, Interface* table);
void packetdrill_interface_init(const char*, Interface* table) {
  Host* h = new Host;
  the_host = h;
  *table = {};
  table->user = h;
  table->free = [](User u) {
    the_host = nullptr;
    delete static_cast<Host*>(u);
  };
  table->socket = [](User u, int domain, int type, int protocol) {
    return host(u).open_socket(domain, type, protocol);
  };
  table->bind = [](User u, int fd, const sockaddr* a, socklen_t n) { return host(u).bind(fd, a, n); };
  table->listen = [](User u, int fd, int backlog) { return host(u).listen(fd, backlog); };
  table->accept = [](User u, int fd, sockaddr* a, socklen_t* n) { return host(u).accept(fd, a, n); };
  table->connect = [](User u, int fd, const sockaddr* a, socklen_t n) { return host(u).connect(fd, a, n); };
  table->read = read;
  table->readv = readv;
  table->recv = recv;
  table->recvfrom = recvfrom;
  table->recvmsg = recvmsg;
  table->write = write;
  table->writev = writev;
  table->send = send;
  table->sendto = sendto;
  table->sendmsg = sendmsg;
  table->fcntl = fcntl;
  table->ioctl = ioctl;
  table->close = [](User u, int fd) { return host(u).close(fd); };
  table->shutdown = [](User u, int fd, int how) { return host(u).shutdown(fd, how); };
  table->getsockopt = [](User u, int fd, int level, int name, void* v, socklen_t* n) {
    return host(u).get_option(fd, level, name, v, n);
  };
  table->setsockopt = [](User u, int fd, int level, int name, const void* v, socklen_t n) {
    return host(u).set_option(fd, level, name, v, n);
  };
  table->poll = [](User u, pollfd* fds, nfds_t n, int timeout) { return host(u).poll(fds, n, timeout); };
  table->netdev_send = netdev_send;
  table->netdev_receive = netdev_receive;
  table->usleep = usleep;
  table->gettimeofday = gettimeofday;
  table->epoll_create = [](User u, int) { return host(u).epoll_create(); };
  table->epoll_ctl = [](User u, int ep, int op, int fd, epoll_event* e) { return host(u).epoll_ctl(ep, op, fd, e); };
  table->epoll_wait = [](User u, int ep, epoll_event* e, int n, int timeout) {
    return host(u).epoll_wait(ep, e, n, timeout);
  };
  table->pipe = [](User, int*) { return refuse(ENOSYS); };
  table->splice = [](User, int, loff_t*, int, loff_t*, size_t, unsigned) -> ssize_t { return refuse(ENOSYS); };
}

int close(int fd) {
  Host* h = the_host;
  return h && h->owns(fd) ? h->close(fd) : static_cast<int>(syscall(SYS_close, fd));
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* n) noexcept {
  Host* h = the_host;
  if (h && h->owns(fd)) return h->get_option(fd, level, name, value, n);
  static const auto real = next<int (*)(int, int, int, void*, socklen_t*)>("getsockopt");
  return real(fd, level, name, value, n);
}

// packetdrill lets some ticks of the kernel's clock go by before it starts; ours has none.
clock_t times(struct tms*) noexcept {
  static std::atomic<clock_t> ticks;
  return ++ticks;
}
int mlockall(int) noexcept { return 0; }
int sched_setscheduler(pid_t, int, const sched_param*) noexcept { return 0; }

}  // extern "C"
