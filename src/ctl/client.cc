#include "ctl/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace sluice::ctl {

Client::~Client() {
  if (fd_ >= 0) close(fd_);
}

Status Client::connect_now() {
  if (fd_ >= 0) return {};
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path_.size() >= sizeof a.sun_path) return Error{"the socket path is too long: " + path_};
  std::memcpy(a.sun_path, path_.c_str(), path_.size());
  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0) return {};
  int err = errno;
  close(fd_);
  fd_ = -1;
  if (err == ENOENT || err == ECONNREFUSED)
    return Error{"no sluiced answers on " + path_ + ": is it running? (-s names another socket)"};
  if (err == EACCES)
    return Error{"no right to use " + path_ + ": run as root, or join the group of control.group"};
  return Error{"cannot connect to " + path_ + ": " + std::strerror(err)};
}

Result<Answer> Client::call(const std::string& method, const json& params, int timeout_s) {
  if (Status s = connect_now(); !s) return Error{s.error()};
  json req = {{"jsonrpc", "2.0"}, {"id", next_id_++}, {"method", method}, {"params", params}};
  std::string line = req.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  for (size_t sent = 0; sent < line.size();) {
    ssize_t n = send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return Error{"sluiced closed the connection: " + std::string(std::strerror(errno))};
    sent += static_cast<size_t>(n);
  }
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  size_t nl;
  while ((nl = in_.find('\n')) == std::string::npos) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd p{fd_, POLLIN, 0};
    if (left <= 0 || poll(&p, 1, static_cast<int>(left)) == 0)
      return Error{"sluiced did not answer within " + std::to_string(timeout_s) + " s"};
    char buf[65536];
    ssize_t n = recv(fd_, buf, sizeof buf, 0);
    if (n <= 0) return Error{"sluiced closed the connection before it answered"};
    in_.append(buf, static_cast<size_t>(n));
  }
  json r = json::parse(in_.substr(0, nl), nullptr, false);
  in_.erase(0, nl + 1);
  if (!r.is_object()) return Error{"the answer is no JSON object: is " + path_ + " sluiced's socket?"};
  Answer a;
  if (r.contains("error")) {
    a.failed = true;
    a.code = r["error"].value("code", 0);
    a.message = r["error"].value("message", "");
    if (r["error"].contains("data")) a.data = r["error"]["data"];
  } else {
    a.result = r.value("result", json());
  }
  return a;
}

}  // namespace sluice::ctl
