// A host with one TCP stack, in virtual time, as packetdrill sees it: sockets on one side, IP packets on the other.
//
// Theory of operation. One mutex; every entry takes it. Virtual time moves only in advance(): to the next of what is
// due (the stack's timers, a cork's, a waiter's deadline), runs it, and so on up to where the caller wants to be.
// gettimeofday moves it by a microsecond, usleep by what is asked for, netdev_receive until a packet leaves.
//
// packetdrill has two threads: the script's, which moves time, and one for calls that the script says block. A blocked
// call of the second thread is a Waiter. What makes it ready is found by the script's thread while it moves time; that
// thread then stands still until the other one has read the clock (which packetdrill does as soon as the call has
// returned), so that the call's end is stamped with the moment that ended it. A call that blocks in the script's own
// thread moves time itself.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "packet/buffers.h"
#include "packetdrill/ip.h"
#include "packetdrill/settings.h"
#include "packetdrill/socket.h"
#include "tcp/stack.h"

namespace sluice::drill {

class Host final : public tcp::Sink {
 public:
  Host();  // EAL comes up with it; the calling thread is the script's
  ~Host();

  // --- packetdrill's side of the network, and its clock
  void packet_in(wire::ConstBytes packet);
  // The next packet out, and its time. Moves time until there is one; none within an hour: nothing.
  std::optional<Packet> packet_out(int64_t& usec);
  int64_t gettimeofday_usec();
  void sleep_usec(int64_t n);

  // --- system calls: a result, or -1 and errno (set by the caller's thread)
  int open_socket(int domain, int type, int protocol);
  int bind(int fd, const sockaddr* a, socklen_t n);
  int listen(int fd, int backlog);
  int accept(int fd, sockaddr* a, socklen_t* n);
  int connect(int fd, const sockaddr* a, socklen_t n);
  ssize_t receive(int fd, const iovec* to, size_t pieces, int flags, msghdr* message = nullptr);
  ssize_t send(int fd, const iovec* from, size_t pieces, int flags);
  int shutdown(int fd, int how);
  int close(int fd);
  int set_flags(int fd, int flags);
  int get_flags(int fd);
  int queue_length(int fd, unsigned long request, int* out);
  int set_option(int fd, int level, int name, const void* value, socklen_t n);
  int get_option(int fd, int level, int name, void* value, socklen_t* n);
  int poll(pollfd* fds, nfds_t count, int timeout_ms);
  int epoll_create();
  int epoll_ctl(int epfd, int op, int fd, epoll_event* e);
  int epoll_wait(int epfd, epoll_event* out, int most, int timeout_ms);
  bool owns(int fd);

 private:
  using Lock = std::unique_lock<std::mutex>;
  using Ready = std::function<bool()>;
  struct Waiter {
    const Ready* ready;
    Instant deadline;
    std::thread::id thread;
    bool done = false;
  };

  struct Outgoing {
    int64_t usec;
    Packet packet;
    tcp::Tuple tuple;
    tcp::Seq seq;
    uint32_t length, mss;
    bool marked;  // mark_groups() has seen it
  };

  bool send(const tcp::OutSegment& s) override;  // Sink
  void mark_groups();
  void next_records();
  uint32_t group_size(const tcp::Info& i, uint32_t mss) const;

  // host.cc: time
  Instant next_due() const;
  void run_due();
  void advance(Lock& lock, Instant to);
  void wake_waiters(Lock& lock);
  bool wait(Lock& lock, const Ready& ready, Instant deadline = Instant::never());  // false: the deadline came first
  void settle(Lock& lock);  // after whatever the stack was told: flush, events, waiters
  void collect_events();
  void handle(const tcp::Event& e);
  void began(Socket& s);
  void meter(Duration d);   // who was limited by what, for TCP_INFO

  // calls.cc
  tcp::Stack& stack();      // made at the first socket, when the script's settings are known
  Socket* find(int fd, Socket::Kind kind);
  Socket* any(int fd);
  int adopt(std::unique_ptr<Socket> s);
  Socket* stream_of(tcp::ConnId id);
  Socket* stream_of(const tcp::Tuple& t);
  bool writable(Socket& s);
  uint32_t room(Socket& s);
  uint32_t unit_room(Socket& s);
  uint32_t queued(const Socket& s);
  uint32_t unsent(const Socket& s);
  int pending_error(Socket& s);
  void forget(Socket& s);
  ssize_t take(Socket& s, const iovec* to, size_t pieces, bool peek);
  ssize_t push(Socket& s, wire::ConstBytes bytes);
  void uncork(Socket& s, bool whole);
  uint16_t mtu_of(const Socket& s) const;
  uint32_t ready_mask(Socket& s);

  // timestamps.cc
  tcp::Seq write_end(const Socket& s);
  void want_stamps(Socket& s);
  void stamp_sent(Socket& s, tcp::Seq end);
  void stamp_acked(Socket& s);
  bool next_stamp(Socket& s, msghdr& m);

  // options.cc
  int get_int(Socket& s, int level, int name, std::optional<int>& out);
  void fill_info(Socket& s, void* out, size_t n);
  void fill_memory(Socket& s, uint32_t* out, size_t words);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Waiter*> waiters_;
  std::thread::id script_ = std::this_thread::get_id();
  std::thread::id handed_to_;  // the thread that is to read the clock before time goes on

  Instant now_ = Instant{} + Duration::seconds(1'000'000);
  rte_mempool* pool_ = nullptr;
  Settings settings_;
  std::optional<Buffers> buffers_;
  std::unique_ptr<tcp::Stack> stack_;
  std::deque<Outgoing> out_;
  std::map<int, std::unique_ptr<Socket>> sockets_;
  std::vector<std::unique_ptr<Socket>> unaccepted_;
};

}  // namespace sluice::drill
