// Applications on sluice's TCP stack: events in, commands out, in batches. Standard library alone.
//
// An application is an object that an engine turns on its lcore: events() is called with what has happened, and in it
// (or in tick()) the application gives its commands. It never blocks, never sleeps, allocates nothing once it runs
// and owns no thread; one instance serves one stack engine, and shares nothing with the next. No command calls back
// into the application. A complete example: tests/unit/apps/example_app.cc.
//
// Life of a connection: accepted | connected, then data* and sent*, peer_closed at most once (behind all data), and
// at last closed or failed, after which its handle is stale: commands with it say Outcome::stale and do nothing.
// After close() and abort() the handle is stale at once, and no event is collected for it any more.
//
// Batches: events of one connection come in order; between connections there is no order. Two rules for what one
// batch may hold:
//   - an `accepted` is the last event of its connection in its batch: what follows comes in a later one, and carries
//     the user word that set_user() left;
//   - an event that was collected before the application closed the connection may still follow in the same batch.
//     Its buffer, if it has one, is given back with free_buffer().
//
// Zero-copy: a data event's bytes lie in a packet buffer that belongs to the application until it gives it back with
// done() or free_buffer(), or sends it on with send(). The bytes count against the peer's window until done(): an
// application that is slow slows its peer. So does one that sends the buffer on and says done(conn, nullptr, length)
// when a `sent` event shows that it has arrived: that is a splice. What is sent is not copied either: it must stay
// unchanged until it is acknowledged.
//
// Units: bytes, ports in host order, times in nanoseconds of the lcore's clock. Errors: an Outcome; nothing has
// happened unless it is ok. Sources: RFC 9293 3.9 (user interface), 3.8.6 (flow control).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::app {

// A connection's handle; never used again for another one.
struct Conn {
  uint32_t index = UINT32_MAX, generation = 0;
  bool operator==(const Conn&) const = default;
  bool none() const { return index == UINT32_MAX; }
};
using Listener = uint16_t;

// A packet buffer, opaque.
struct Buffer;

struct Address {
  uint8_t bytes[16]{};  // network order; IPv4: the first four, the rest zero
  uint8_t family = 0;   // 4, 6; 0: any
  bool operator==(const Address&) const = default;
};
struct Endpoint {
  Address address;
  uint16_t port = 0;
  bool operator==(const Endpoint&) const = default;
};

enum class Kind : uint8_t {
  accepted,     // a listener has a new connection
  connected,    // connect() succeeded
  data,         // bytes in order; `buffer` is the application's from now on
  sent,         // `length` more bytes of what was sent are acknowledged, and there may be room for more
  peer_closed,  // the peer sends no more; sending is still possible
  closed,       // both directions are finished
  failed,       // see `failure`
};
enum class Failure : uint8_t { none, refused, reset, timed_out, unreachable, aborted };
enum class Outcome : uint8_t {
  ok,
  stale,        // no such connection (any more)
  wrong_state,  // not possible now: send() after shutdown(), done() of more than was handed out
  full,         // the send buffer, or a pool behind it, has no room: again after a `sent`, or a little later
  in_use,       // the address and port are taken
  invalid,      // an argument that makes no sense
  no_memory,    // the limit of connections or of listeners, or the box stops
};

struct Event {
  Kind kind = Kind::closed;
  Failure failure = Failure::none;
  Listener listener = UINT16_MAX;  // accepted
  Conn conn;
  uint64_t user = 0;               // what connect() or set_user() left; accepted: what listen() was given. 48 bits
  Buffer* buffer = nullptr;        // data
  const uint8_t* bytes = nullptr;  // data: where they lie in it
  uint32_t length = 0;             // data: how many; sent: how many were acknowledged
};

// Told when what keeps a slice's bytes alive is not needed any more: once for every slice that named it. It may be told
// long after the connection's handle is stale, and from within a command.
class Keeper {
 public:
  virtual void release() = 0;

 protected:
  ~Keeper() = default;
};

// Bytes to be sent. They lie in `buffer` (which belongs to the stack once send() says ok), or are kept by `keeper`, or
// (neither) outlive the stack.
struct Slice {
  const uint8_t* bytes = nullptr;
  uint32_t length = 0;
  Buffer* buffer = nullptr;
  Keeper* keeper = nullptr;
};

struct Options {
  uint32_t receive_buffer = 0, send_buffer = 0;  // 0: the stack's default
  bool nagle = true, keepalive = false;
  int64_t user_timeout_ns = 0;                   // 0: the stack's default
};

struct Peer {
  Endpoint local, remote;
};

// What an application may do. Of the engine that calls it; not to be kept beyond the application's life. User words
// have 48 bits: what is above is lost.
class Api {
 public:
  virtual int64_t now() const = 0;  // the same throughout a turn
  // Nanoseconds since 1970, UTC: follows the system's clock, which may be set, also back.
  virtual int64_t wall_clock() const = 0;

  virtual Outcome listen(const Endpoint& at, const Options& o, uint64_t user, Listener& out) = 0;
  // New connections are refused from now on; those that were accepted go on.
  virtual Outcome unlisten(Listener l) = 0;
  // The source address is the one that the route to `to` suggests, unless `from` names one; port 0: an ephemeral one.
  virtual Outcome connect(const Endpoint& to, const Endpoint& from, const Options& o, uint64_t user, Conn& out) = 0;

  virtual Outcome send(Conn c, std::span<const Slice> slices) = 0;  // all, or (full) none; 64 at most
  virtual uint32_t send_room(Conn c) const = 0;                     // 0 for a stale handle
  // The application has used `length` bytes of what data events brought; with `buffer` not null it is freed too,
  // whatever the outcome.
  virtual Outcome done(Conn c, Buffer* buffer, uint32_t length) = 0;
  virtual void pause(Conn c) = 0;   // back-pressure: no data events are collected until resume()
  virtual void resume(Conn c) = 0;
  virtual Outcome shutdown(Conn c) = 0;  // nothing more to send: a FIN behind what is queued; receiving goes on
  // Finished with it: a FIN behind what is queued. What the peer still sends is answered with a reset.
  virtual Outcome close(Conn c) = 0;
  virtual Outcome abort(Conn c) = 0;     // a reset, at once
  virtual Outcome set_user(Conn c, uint64_t user) = 0;
  virtual bool peer(Conn c, Peer& out) const = 0;  // false: stale

  // A buffer to fill and to send: `room` bytes at `bytes`. Null: none left.
  virtual Buffer* make_buffer(uint8_t*& bytes, uint32_t& room) = 0;
  virtual void free_buffer(Buffer* b) = 0;  // one that came with data, or was made, and is not sent

 protected:
  ~Api() = default;
};

class App {
 public:
  virtual ~App() = default;
  // Once, before anything else: where it listens.
  virtual void start(Api& api) = 0;
  virtual void events(Api& api, std::span<const Event> batch) = 0;
  // Called when `deadline()` has passed; it moves the deadline on.
  virtual void tick(Api&) {}
  virtual int64_t deadline() const { return INT64_MAX; }
};

}  // namespace sluice::app
