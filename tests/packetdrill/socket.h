// A socket's state: what the event interface of the stack does not keep, since an application would.
#pragma once

#include <netinet/in.h>
#include <rte_mbuf.h>

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <vector>

#include "base/instant.h"
#include "tcp/seq.h"
#include "tcp/types.h"
#include "wire/addr.h"

namespace sluice::drill {

struct Socket {
  enum class Kind : uint8_t { fresh, listener, stream, epoll };

  int fd = -1;
  Kind kind = Kind::fresh;
  bool nonblocking = false, v6 = false;

  // --- options
  bool nodelay = false, cork = false, keepalive = false, report_queue = false, reset_on_close = false;
  uint16_t max_segment = 0;
  uint32_t send_buffer = 0, receive_buffer = 0;  // bytes as set, doubled; 0: default
  uint32_t unsent_low_water = 0;                 // 0: the system's
  int user_timeout_ms = 0;
  std::map<std::pair<int, int>, int> other;      // kept, handed back, without effect

  // --- names
  IpAddr address;  // bound to, none(): any
  uint16_t port = 0;

  // --- listener
  tcp::ListenerId listener = tcp::kNoListener;
  std::deque<Socket*> accepted;

  // --- stream
  struct Piece {
    rte_mbuf* m;
    uint16_t offset, length;
  };
  tcp::ConnId conn;  // none(): never connected, or finished
  bool connecting = false, connected = false, peer_closed = false, shut_read = false, shut_write = false;
  int error = 0;     // to be told once (SO_ERROR)
  std::deque<Piece> received;
  uint32_t received_bytes = 0;
  std::vector<uint8_t> corked;
  Instant uncork_at = Instant::never();
  bool push_withheld = false;  // what MSG_MORE brought goes out without PSH, unless its timer sends it
  uint64_t taken = 0;          // bytes given to the stack
  std::deque<uint64_t> record_ends;  // MSG_EOR: in bytes, as `taken` counts
  bool at_record_end = false;  // what was given last ends a record
  bool out_of_room = false;    // a send was cut short: EPOLLOUT is news again once there is room
  bool sending = false;        // a blocking send waits
  uint16_t largest_received = 0;
  tcp::Seq sent_up_to;         // behind what has been sent for the first time
  tcp::Seq pushed_at;          // behind what was last sent with PSH asked for
  std::set<uint32_t> pushed;   // ends of segments that got PSH as the last of a group
  uint32_t largest_window = 0, unit = 0;
  Instant last_data{};
  Duration busy{}, window_limited{}, buffer_limited{};

  // --- SO_TIMESTAMPING
  struct Wanted {     // of the last byte of a write
    tcp::Seq end;
    uint32_t key;     // bytes since the option was set, less one
    bool sent = false;
  };
  struct Stamp {
    Instant at;
    uint32_t what, key;
  };
  int timestamping = 0;        // SOF_…
  tcp::Seq stamps_from;
  std::deque<Wanted> wanted;
  std::deque<Stamp> stamps;    // for MSG_ERRQUEUE

  // --- epoll
  struct Watch {
    uint32_t events = 0;
    uint64_t data = 0;
  };
  std::map<int, Watch> watched;
  bool news = false;  // something has happened to this socket that edge-triggered watchers have not been told
};

}  // namespace sluice::drill
