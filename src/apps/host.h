// Applications' engine: gives one TCP stack's events to the services that own them, in batches, and carries out their
// commands. Services come and go while it runs; the control thread makes, submits and destroys them.
//
// Theory of operation. A connection's user word in the stack is its service's slot (16 bits) and the service's own word
// (48). turn() collects events, sorts them by slot and hands each service its share. What follows an `accepted` of the
// same connection is held back until the service has seen that, so that it can have set its user word.
//
// Threads: turn() and next_deadline() are the lcore's. submit() is one control thread's, as are an Update's and a
// Service's construction and destruction.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "apps/health.h"
#include "apps/service.h"
#include "stack/tcp_host.h"

namespace sluice::apps {

// A change of services, made by the control thread. It and the services it starts outlive their use by the lcore: an
// update until taken(), a service until Service::left() or the host's end.
struct Update {
  std::vector<Service*> stop;    // drained; each left() in the end
  std::vector<Service*> start;   // behind the stops, so that an address may change hands
  int64_t drain_ns = 0;          // how long what is stopped may take to finish
  bool taken() const { return done.load(std::memory_order_acquire); }
  std::atomic<bool> done{false};
};

class Host final : public app::Api {
 public:
  static constexpr unsigned kSlots = 256;        // services at a time, with those that drain; more wait for a slot
  static constexpr unsigned kBatch = 64;
  static constexpr unsigned kRounds = 16;        // batches a turn

  // `slices`: how many slices with a Keeper may be unacknowledged at a time; above, send() says full.
  explicit Host(stack::TcpHost& tcp, uint32_t slices = 1u << 18);
  ~Host() { end(); }
  Host(const Host&) = delete;

  // --- lcore
  // Behind packets and timers, before Stack::flush(). Returns events handled.
  unsigned turn(Instant now);
  Instant next_deadline() const;
  // For good: applications give their buffers back and are left. Then the stack goes, and gives slices back as it does,
  // and then the host and the services.
  void end();

  // The box stops: services drain, with no end set; nothing new begins, no connection and no service.
  void end_services(Instant now);

  // An application that stays as long as the host does, and outlives it. On the lcore, or before it turns. false: all
  // slots are taken.
  bool install(app::App& a);

  // --- control thread
  // false: the one before has not been taken yet. The lcore sees it in its next turn.
  bool submit(Update* u);
  // What the lcore's clock lacks to the time since 1970. Any thread.
  void set_wall_offset(Duration d) { wall_offset_.store(d.ns, std::memory_order_relaxed); }

  // --- app::Api
  int64_t now() const override { return now_.ns; }
  int64_t wall_clock() const override { return now_.ns + wall_offset_.load(std::memory_order_relaxed); }
  app::Outcome listen(const app::Endpoint& at, const app::Options& o, uint64_t user, app::Listener& out) override;
  app::Outcome unlisten(app::Listener l) override;
  app::Outcome connect(const app::Endpoint& to, const app::Endpoint& from, const app::Options& o, uint64_t user,
                       app::Conn& out) override;
  app::Outcome send(app::Conn c, std::span<const app::Slice> slices) override;
  uint32_t send_room(app::Conn c) const override;
  app::Outcome done(app::Conn c, app::Buffer* buffer, uint32_t length) override;
  void pause(app::Conn c) override;
  void resume(app::Conn c) override;
  app::Outcome shutdown(app::Conn c) override;
  app::Outcome close(app::Conn c) override;
  app::Outcome abort(app::Conn c) override;
  app::Outcome set_user(app::Conn c, uint64_t user) override;
  bool peer(app::Conn c, app::Peer& out) const override;
  app::Buffer* make_buffer(uint8_t*& bytes, uint32_t& room) override;
  void free_buffer(app::Buffer* b) override;

 private:
  // The library's keeper for a slice whose bytes an application's keeper keeps.
  struct Guard final : tcp::Keeper {
    void release() override {
      app::Keeper* k = keeper;
      host->guards_.give(host->guards_.index_of(*this));
      k->release();
    }
    Host* host = nullptr;
    app::Keeper* keeper = nullptr;
  };
  struct Accepted {
    tcp::ConnId conn;
    uint64_t user;
  };
  struct Batch {
    std::array<app::Event, kBatch> event;
    std::array<uint16_t, kBatch> slot;
    unsigned n = 0;
  };
  static constexpr size_t kMostSlices = 64;

  static uint64_t word(unsigned slot, uint64_t user) { return uint64_t{slot} << 48 | (user & kUserMask); }
  static constexpr uint64_t kUserMask = (uint64_t{1} << 48) - 1;
  static constexpr unsigned kHealthSlot = 0;

  bool has_update() const { return !ending_ && (update_ || incoming_.load(std::memory_order_relaxed)); }
  void take_update();
  unsigned free_slot() const;    // kSlots: none
  void add(unsigned slot, app::App* a, Service* s);
  void retire();
  unsigned collect(Batch& now, Batch& later);
  void deliver(Batch& b);
  app::Event translate(const tcp::Event& e) const;
  Accepted* accepted(tcp::ConnId c);
  void run_timers();
  bool slice(const app::Slice& from, tcp::Slice& to);

  stack::TcpHost& tcp_;
  tcp::Stack& stack_;
  Buffers& buffers_;
  Instant now_{};
  tcp::Slab<Guard> guards_;
  Health health_;

  struct Slot {
    app::App* app = nullptr;
    Service* service = nullptr;  // null: one that stays
  };
  std::array<Slot, kSlots> slot_{};
  unsigned slots_ = 0;           // slots below may be in use
  unsigned current_ = 0;         // whose turn it is: the slot that a command's user word belongs to
  unsigned draining_ = 0;
  int64_t deadline_ = INT64_MAX;
  bool stale_deadline_ = true;

  // Of one round of turn(); kept here since clearing them would cost more than an idle turn does.
  std::array<tcp::Event, kBatch> in_;
  Batch first_, later_;
  std::array<app::Event, kBatch> share_;         // of one application
  std::array<tcp::Slice, kMostSlices> slices_;   // of one send()

  std::array<Accepted, kBatch> accepted_;
  unsigned accepted_n_ = 0;
  uint64_t accepted_mask_ = 0;   // by connection index: most events are of none of them

  std::atomic<int64_t> wall_offset_{0};
  std::atomic<Update*> incoming_{nullptr};
  bool ending_ = false;
  Update* update_ = nullptr;     // being carried out
  size_t update_started_ = 0;
};

}  // namespace sluice::apps
