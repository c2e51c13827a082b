// The control socket: a Unix stream socket, one request a line, one answer a line. It knows nothing of
// JSON. Non-blocking throughout; a slow, broken or hostile client costs itself its connection and nobody
// else anything: requests, clients and output queues are bounded, and a client with unread output is not
// read from.
//
// Single-threaded: everything happens inside turn(), called when fd() is readable, and every few milliseconds while
// waiting().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "control/reply.h"

namespace sluice::control {

struct ServerOptions {
  std::string path;
  unsigned mode = 0660;
  std::string owner, group;  // empty: the process's own
  size_t max_clients = 64;
  size_t max_request = 8u << 20;  // bytes of one line
  size_t max_output = 64u << 20;  // bytes waiting for one client
};

class Server {
 public:
  // Answers one line. Where it answers later, the client's next lines wait, and other clients do not.
  using Handler = std::function<Reply(std::string_view line)>;

  // A socket that somebody answers on is an error; one that is dead is replaced.
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& o, Handler handler);
  ~Server();  // removes the socket

  int fd() const;
  void turn();
  bool waiting() const;  // for an answer that comes later
  // Sends what is queued for at most `ms`: the answer to `stop` must get out.
  void flush(int ms);
  size_t clients() const;

 private:
  Server();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::control
