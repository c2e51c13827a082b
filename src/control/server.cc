#include "control/server.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>

#include "sluice/control.h"

namespace sluice::control {

namespace {

struct Client {
  int fd = -1;
  std::string in, out;
  size_t scanned = 0, sent = 0;  // bytes of `in` known to hold no LF; bytes of `out` already written
  bool closing = false;          // after `out` is written
  bool peer_done = false;
  Reply::Later later;            // of a request that is not answered yet
};

std::string error_line(int code, const char* text) {
  return std::string("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":") + std::to_string(code) +
         ",\"message\":\"" + text + "\"}}";
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof a.sun_path)
    return Error{"control.socket: the path '" + path + "' must have 1 to " +
                 std::to_string(sizeof a.sun_path - 1) + " bytes"};
  std::memcpy(a.sun_path, path.c_str(), path.size());
  return a;
}

// A leftover of a killed process may go; a living server's socket, or a file that is none, may not.
Status clear_stale(const std::string& path, const sockaddr_un& a) {
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return {};
  if (!S_ISSOCK(st.st_mode))
    return Error{path + " exists and is no socket: remove it, or set control.socket"};
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int rc = connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a);
  int err = errno;
  close(fd);
  if (rc == 0 || err != ECONNREFUSED)
    return Error{"another sluiced answers on " + path + ": stop it first, or set control.socket"};
  if (unlink(path.c_str()) != 0)
    return Error{"cannot remove the stale socket " + path + ": " + std::strerror(errno)};
  return {};
}

Status set_rights(const ServerOptions& o) {
  uid_t uid = static_cast<uid_t>(-1);
  gid_t gid = static_cast<gid_t>(-1);
  if (!o.owner.empty()) {
    passwd* p = getpwnam(o.owner.c_str());
    if (!p) return Error{"control.owner: there is no user '" + o.owner + "'"};
    uid = p->pw_uid;
  }
  if (!o.group.empty()) {
    struct group* g = getgrnam(o.group.c_str());
    if (!g) return Error{"control.group: there is no group '" + o.group + "'"};
    gid = g->gr_gid;
  }
  if (chmod(o.path.c_str(), o.mode) != 0 || chown(o.path.c_str(), uid, gid) != 0)
    return Error{"cannot set mode or owner of " + o.path + ": " + std::strerror(errno)};
  return {};
}

}  // namespace

struct Server::Impl {
  ServerOptions o;
  Handler handler;
  int listen_fd = -1, epoll_fd = -1;
  bool bound = false;
  std::map<int, Client> clients;

  void watch(int fd, uint32_t events, int op) {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    epoll_ctl(epoll_fd, op, fd, &e);
  }

  void accept_all() {
    for (;;) {
      int fd = accept4(listen_fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) return;
      if (clients.size() >= o.max_clients) {
        std::string e = error_line(kBusy, "too many clients on the control socket") + "\n";
        (void)!::send(fd, e.data(), e.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        close(fd);
        continue;
      }
      clients[fd].fd = fd;
      watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
  }

  void answer(Client& c, std::string text) {
    if (text.empty()) return;
    c.out += text;
    c.out += '\n';
    if (c.out.size() - c.sent > o.max_output) {  // it asks, and does not read
      c.out.clear();
      c.sent = 0;
      c.closing = true;
    }
  }

  void write_out(Client& c) {
    while (c.sent < c.out.size()) {
      ssize_t n = ::send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL);
      if (n < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        c.out.clear();
        c.sent = 0;
        c.closing = true;
        return;
      }
      c.sent += static_cast<size_t>(n);
    }
    c.out.clear();
    c.sent = 0;
  }

  void read_in(Client& c) {
    char buf[65536];
    while (c.in.size() <= o.max_request) {
      ssize_t n = recv(c.fd, buf, sizeof buf, 0);
      if (n > 0) {
        c.in.append(buf, static_cast<size_t>(n));
        continue;
      }
      if (n == 0)
        c.peer_done = true;
      else if (errno != EAGAIN && errno != EWOULDBLOCK)
        c.peer_done = c.closing = true;
      return;
    }
  }

  // Whether nothing is owed to the client any more.
  bool settle(Client& c) {
    if (!c.later) return true;
    auto text = c.later();
    if (!text) return false;
    c.later = nullptr;
    answer(c, std::move(*text));
    return true;
  }

  // One request at most: the next client has its turn first.
  bool serve_one(Client& c) {
    if (c.closing) return false;
    size_t nl = c.in.find('\n', c.scanned);
    if (nl == std::string::npos) {
      c.scanned = c.in.size();
      if (c.in.size() > o.max_request) {
        answer(c, error_line(kInvalidRequest, "the request is longer than the limit"));
        c.closing = true;
      }
      return false;
    }
    std::string line = c.in.substr(0, nl);
    c.in.erase(0, nl + 1);
    c.scanned = 0;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() > o.max_request) {
      answer(c, error_line(kInvalidRequest, "the request is longer than the limit"));
      c.closing = true;
      return false;
    }
    if (!line.empty()) {
      Reply r = handler(line);
      c.later = std::move(r.later);
      if (!c.later) answer(c, std::move(r.text));
    }
    return !c.later && c.in.find('\n') != std::string::npos;
  }

  void drop(Client& c) {
    const int fd = c.fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, nullptr);
    close(fd);
    clients.erase(fd);
  }

  // Returns whether the client has another whole request waiting.
  bool turn_client(Client& c) {
    const bool settled = settle(c);
    if (!c.out.empty()) write_out(c);
    bool more = false;
    if (settled && c.out.empty() && !c.closing) {
      read_in(c);
      more = serve_one(c);
    }
    write_out(c);
    if (!c.later && c.out.empty() && (c.closing || (c.peer_done && !more))) {
      drop(c);
      return false;
    }
    watch(c.fd, c.later ? 0u : c.out.empty() ? uint32_t{EPOLLIN} : uint32_t{EPOLLOUT}, EPOLL_CTL_MOD);
    return more;
  }
};

Server::Server() : impl_(new Impl) {}

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& o, Handler handler) {
  std::unique_ptr<Server> self(new Server);
  Impl& s = *self->impl_;
  s.o = o;
  s.handler = std::move(handler);
  auto a = address_of(o.path);
  if (!a) return Error{a.error()};
  std::error_code ec;
  auto dir = std::filesystem::path(o.path).parent_path();
  if (!dir.empty()) std::filesystem::create_directories(dir, ec);
  if (ec) return Error{"cannot make the folder " + dir.string() + ": " + ec.message()};
  if (Status st = clear_stale(o.path, *a); !st) return Error{st.error()};
  s.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // Nobody gets in between bind and set_rights.
  mode_t old = umask(0177);
  int rc = bind(s.listen_fd, reinterpret_cast<sockaddr*>(&*a), sizeof *a);
  int err = errno;
  umask(old);
  if (rc != 0) return Error{"cannot bind the control socket " + o.path + ": " + std::strerror(err)};
  s.bound = true;
  if (Status st = set_rights(o); !st) return Error{st.error()};
  if (::listen(s.listen_fd, 64) != 0)
    return Error{"cannot listen on " + o.path + ": " + std::strerror(errno)};
  s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  s.watch(s.listen_fd, EPOLLIN, EPOLL_CTL_ADD);
  return self;
}

Server::~Server() {
  for (auto& [fd, c] : impl_->clients) close(fd);
  if (impl_->epoll_fd >= 0) close(impl_->epoll_fd);
  if (impl_->listen_fd >= 0) close(impl_->listen_fd);
  if (impl_->bound) unlink(impl_->o.path.c_str());
}

int Server::fd() const {
  return impl_->epoll_fd;
}
size_t Server::clients() const {
  return impl_->clients.size();
}
bool Server::waiting() const {
  return std::any_of(impl_->clients.begin(), impl_->clients.end(), [](const auto& c) { return c.second.later != nullptr; });
}

void Server::turn() {
  for (auto it = impl_->clients.begin(); it != impl_->clients.end();) {
    Client& c = (it++)->second;
    if (c.later && impl_->turn_client(c)) impl_->watch(c.fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  }
  epoll_event ev[64];
  int n = epoll_wait(impl_->epoll_fd, ev, 64, 0);
  for (int i = 0; i < n; i++) {
    if (ev[i].data.fd == impl_->listen_fd) {
      impl_->accept_all();
      continue;
    }
    if (auto it = impl_->clients.find(ev[i].data.fd); it != impl_->clients.end() && it->second.later) {
      if (ev[i].events & (EPOLLHUP | EPOLLERR)) impl_->drop(it->second);
      continue;
    }
    // A pipelining client is served a bounded number of requests before the others have their turn;
    // what is left over is kept ready by the level-triggered re-arming below.
    for (int k = 0; k < 16; k++) {
      auto it = impl_->clients.find(ev[i].data.fd);
      if (it == impl_->clients.end() || !impl_->turn_client(it->second)) break;
    }
    auto it = impl_->clients.find(ev[i].data.fd);
    if (it != impl_->clients.end() && it->second.in.find('\n') != std::string::npos)
      impl_->watch(it->second.fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  }
}

void Server::flush(int ms) {
  for (int i = 0; i < ms; i++) {
    bool pending = false;
    for (auto& [fd, c] : impl_->clients) {
      impl_->write_out(c);
      pending |= !c.out.empty();
    }
    if (!pending) return;
    usleep(1000);
  }
}

}  // namespace sluice::control
