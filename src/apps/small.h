// The small services of old: echo (RFC 862), discard (RFC 863) and the character generator (RFC 864), over TCP.
#pragma once

#include <memory>

#include "apps/service.h"
#include "apps/splice.h"

namespace sluice::apps {

struct SmallConnection {
  app::Conn conn;
  Splice echo;          // echo: from the connection to itself
  uint32_t at = 0;      // chargen: where in the pattern
  bool shut = false;
  bool peer_done = false;  // echo: the peer has closed; we do when it has all of its bytes back
  int64_t progress = 0; // when something last came or was acknowledged
};

class Small : public PooledService<SmallConnection> {
 public:
  using PooledService::PooledService;

 protected:
  void progress(app::Api& api, uint32_t i);
  // A connection's time-out has come: is it for being idle, or only to try again what was refused?
  bool idle(app::Api& api, uint32_t i);
};

// Sends back what it gets; ends its side when the peer has ended its own and all has been sent.
class Echo final : public Small {
 public:
  Echo(const ServiceConfig& c, uint16_t number, EventLog* log);

 private:
  void accepted(app::Api& api, uint32_t i, const app::Event& e) override;
  void event(app::Api& api, uint32_t i, const app::Event& e) override;
  void timeout(app::Api& api, uint32_t i) override;
  void drain_connection(app::Api& api, uint32_t i) override;
  void released(app::Api& api, uint32_t i) override;
  void more(app::Api& api, uint32_t i);
  void retry(app::Api& api, uint32_t i);

  WaitingPool waiting_;
};

// Takes all, says nothing.
class Discard final : public Small {
 public:
  using Small::Small;

 private:
  void accepted(app::Api& api, uint32_t i, const app::Event& e) override;
  void event(app::Api& api, uint32_t i, const app::Event& e) override;
  void timeout(app::Api& api, uint32_t i) override;
  void drain_connection(app::Api& api, uint32_t i) override;
};

// Sends lines of 72 of the 95 printable characters, each line beginning one further on, until the peer ends its side.
// What it gets is thrown away.
class Chargen final : public Small {
 public:
  using Small::Small;

 private:
  void accepted(app::Api& api, uint32_t i, const app::Event& e) override;
  void event(app::Api& api, uint32_t i, const app::Event& e) override;
  void timeout(app::Api& api, uint32_t i) override;
  void drain_connection(app::Api& api, uint32_t i) override;
  void fill(app::Api& api, uint32_t i);
  void end(app::Api& api, uint32_t i);
};

}  // namespace sluice::apps
