// Entries are kept twice: in order, with origins and ends (list_contents.h), for people and for building; and compiled, what
// is in force of each prefix, in one of two slots of shared memory (list_slot.h), for verdicts. A single change is
// compiled in place. What cannot be (many entries at once; no room left in the slot) is compiled into the other slot, and
// control.lists is turned to it. Whatever can fail comes before the first word that a verdict sees.
//
// Theory of operation of a build. A thread of its own makes the contents after the change, from a copy of the entries
// (which costs next to nothing: entries.h), and compiles them. Single changes go on meanwhile, in the slot in force, and
// are written down. When the thread is done, the control thread makes them again in the new contents and their slot, in
// which nobody looks yet, and turns control.lists. Few entries are built without a thread.
#include "shed/prefix_list.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <system_error>
#include <thread>

#include "shed/list_contents.h"
#include "shed/list_memory.h"
#include "shed/list_slot.h"

namespace sluice::shed {

namespace {

constexpr size_t kFew = 20'000;         // entries that are built in a few milliseconds
constexpr size_t kFewAtOnce = 4096;     // that end in place, at a time

struct Change {
  Entry entry;
  bool gone;
};

// In the order of its parts: what to do, what the thread makes of it, what happens meanwhile.
struct Build {
  Entries base;
  std::vector<Batch> batches;
  Instant now{};
  bool for_room = false;

  Contents contents;
  Status status;
  std::atomic<bool> ready{false};

  std::vector<Change> meanwhile;
  std::shared_ptr<PrefixList::Outcome> outcome = std::make_shared<PrefixList::Outcome>();
};

PrefixList::View view_of(const Entry& e) {
  return {{e.prefix(), static_cast<sluice_action>(e.action)}, e.from, e.until};
}

}  // namespace

struct PrefixList::Impl {
  Impl(std::unique_ptr<ListMemory> m, sluice_control* c, const sluice_cookie_key& key)
      : memory(std::move(m)), control(c), slots{{*memory, 0, c->list[0], key}, {*memory, 1, c->list[1], key}} {}
  ~Impl() {
    stop = true;
    if (thread.joinable()) thread.join();
  }

  const Entries& entries() const { return contents.entries(); }
  Status show(const Entry& prefix);
  bool take(const Entry& key);
  void log(const Entry& e, bool gone) {
    if (build) build->meanwhile.push_back({e, gone});
  }
  void done();

  void compile(Build& b);
  void begin(std::vector<Batch> batches, Instant now);
  void launch();
  void more_room();
  void settle(Instant now);
  Result<bool> catch_up(Build& b, Instant now);
  Status build_now(std::vector<Batch> batches, Instant now);
  void wait();

  std::vector<Prefix> wholly_blocked(size_t at_most) const;

  std::unique_ptr<ListMemory> memory;
  sluice_control* const control;
  ListSlot slots[2];
  Contents contents;
  size_t bytes = 0;  // when no build was under way last
  Status no_room;    // how the last build for more room ended
  std::function<void(bool)> used;
  struct {  // the last answer of blocked(), until something changes
    size_t at_most = 0;
    std::vector<Prefix> prefixes;
  } blocked;
  std::unique_ptr<Build> build;
  std::atomic<bool> stop{false};
  std::thread thread;
};

void PrefixList::Impl::done() {
  blocked = {};
  if (used) used(entries().size() > 0);
}

// ---- builds

// On any thread; the other slot is out of use.
void PrefixList::Impl::compile(Build& b) {
  try {
    auto made = Contents::after(b.base, b.batches, b.now);
    if (made) b.contents = std::move(made).value();
    b.status = made ? Status{} : Status{Error{made.error()}};
    if (b.status && !stop) b.status = slots[control->lists ^ 1].build(b.contents);
  } catch (const std::bad_alloc&) {
    b.status = Error{"out of memory for the prefix lists: free some, or load fewer"};
  }
  b.base = {};
  b.batches.clear();
}

void PrefixList::Impl::begin(std::vector<Batch> batches, Instant now) {
  build = std::make_unique<Build>();
  build->base = entries();
  build->batches = std::move(batches);
  build->now = now;
  memory->grace();
}

void PrefixList::Impl::launch() {
  bytes = slots[control->lists].memory_bytes();
  const auto work = [this, b = build.get()] {
    compile(*b);
    b->ready.store(true, std::memory_order_release);
    b->ready.notify_one();
  };
  try {
    thread = std::thread(work);
  } catch (const std::system_error&) {  // no thread to be had: slowly, then
    work();
  }
}

// What is there, in a slot with more room than this one has.
void PrefixList::Impl::more_room() {
  if (build || entries().size() <= kFew) return;
  begin({}, Instant{});
  build->for_room = true;
  launch();
}

// What changed meanwhile and what ended, in what was built. false: not all has room there, and it is built once more.
Result<bool> PrefixList::Impl::catch_up(Build& b, Instant now) {
  ListSlot& slot = slots[control->lists ^ 1];
  bool room = true;
  const auto repeat = [&](const std::vector<Change>& all) -> Status {
    for (const Change& c : all) {
      if (c.gone && !b.contents.take(c.entry)) continue;
      if (!c.gone)
        if (Status s = b.contents.put(c.entry); !s) return s;
      if (!room) continue;
      auto shown = slot.show(c.entry, b.contents);
      if (!shown) return Error{shown.error()};
      room = *shown;
    }
    return {};
  };
  if (Status s = repeat(b.meanwhile); !s) return Error{s.error()};
  b.meanwhile.clear();
  std::vector<Change> ended;
  if (b.contents.soonest() <= now)
    for (const Entry& e : b.contents.due(now, kFewAtOnce)) ended.push_back({e, true});
  if (Status s = repeat(ended); !s) return Error{s.error()};
  return room;
}

// Puts what was built into force, if that is so far.
void PrefixList::Impl::settle(Instant now) {
  if (!build || !build->ready.load(std::memory_order_acquire)) return;
  if (thread.joinable()) thread.join();
  Status s = build->status;
  if (s) {
    auto caught_up = catch_up(*build, now);
    if (!caught_up) {
      s = Error{caught_up.error()};
    } else if (!*caught_up) {
      build->base = build->contents.entries();
      build->ready = false;
      return launch();
    }
  }
  const auto b = std::move(build);
  if (s) {
    std::atomic_ref(control->lists).store(control->lists ^ 1, std::memory_order_release);
    contents = std::move(b->contents);
    done();
  }
  if (b->for_room) no_room = s;
  b->outcome->status = s;
  b->outcome->done = true;
}

// On this thread.
Status PrefixList::Impl::build_now(std::vector<Batch> batches, Instant now) {
  begin(std::move(batches), now);
  const auto outcome = build->outcome;
  compile(*build);
  build->ready = true;
  settle(now);
  return outcome->status;
}

void PrefixList::Impl::wait() {
  while (build) {
    build->ready.wait(false, std::memory_order_acquire);
    settle(Instant{});
  }
}

// ---- in place

// Makes verdicts see what the contents say of a prefix.
Status PrefixList::Impl::show(const Entry& prefix) {
  auto shown = slots[control->lists].show(prefix, contents);
  if (!shown) return Error{shown.error()};
  if (*shown) return {};
  if (!build && entries().size() <= kFew) return build_now({}, Instant{});
  if (!no_room) return no_room;
  return Error{"the list is being built with more room: try again in a moment"};
}

bool PrefixList::Impl::take(const Entry& key) {
  if (!contents.take(key)) return false;
  (void)show(key).ok();  // what is there needs no more room when less of it is shown
  done();
  return true;
}

// ---- the list

PrefixList::PrefixList(std::unique_ptr<ListMemory> memory, sluice_control* control, uint64_t k0, uint64_t k1)
    : impl_(std::make_unique<Impl>(std::move(memory), control, sluice_cookie_key{k0, k1})) {}
PrefixList::~PrefixList() = default;

Status PrefixList::add(const ListEntry& e, Origin from, Instant until) {
  if (Status s = check(e); !s) return s;
  const Entry n(e.prefix, from, e.action, until);
  const Entry* there = impl_->entries().find(n);
  const auto old = there ? std::optional(*there) : std::nullopt;
  Status s = impl_->contents.put(n);
  if (!s) return s;
  if (!old || old->action != n.action) s = impl_->show(n);
  if (!s) {
    if (old)
      (void)impl_->contents.put(*old).ok();
    else
      impl_->contents.take(n);
    impl_->more_room();
    return s;
  }
  impl_->log(n, false);
  if (impl_->slots[impl_->control->lists].tight(impl_->contents.counts())) impl_->more_room();
  impl_->done();
  return {};
}

bool PrefixList::remove(const Prefix& p, Origin from) {
  if (p.addr.none() || p.len > p.addr.bits()) return false;
  const Entry key(p, from);
  if (!impl_->take(key)) return false;
  impl_->log(key, true);
  return true;
}

Status PrefixList::replace(std::vector<Batch> batches) {
  impl_->wait();
  return impl_->build_now(std::move(batches), Instant{});
}

Status PrefixList::replace(Origin from, std::vector<ListEntry> all, Instant until) {
  std::vector<Batch> one;
  one.push_back({from, std::move(all), kAllActions, until});
  return replace(std::move(one));
}

Result<std::shared_ptr<const PrefixList::Outcome>> PrefixList::begin(Batch batch, Instant now) {
  if (impl_->build) return Error{"another list is being put into force; try again in a moment"};
  const bool few = impl_->entries().size() + batch.come.size() <= kFew;
  std::vector<Batch> one;
  one.push_back(std::move(batch));
  impl_->begin(std::move(one), now);
  std::shared_ptr<const Outcome> outcome = impl_->build->outcome;
  if (!few) {
    impl_->launch();
  } else {
    impl_->compile(*impl_->build);
    impl_->build->ready = true;
    impl_->settle(now);
  }
  return outcome;
}

bool PrefixList::building() const {
  return impl_->build != nullptr;
}

void PrefixList::settle(Instant now) {
  impl_->settle(now);
}

// A look at all entries, but only when one is due. What ends during a build is not written down: what comes of that is
// looked through before it is in force.
size_t PrefixList::expire(Instant now) {
  Contents& c = impl_->contents;
  if (now < c.soonest()) return 0;
  const size_t before = impl_->entries().size();
  Instant next = Instant::never();
  size_t n = 0;
  for (auto e = impl_->entries().begin(); e; ++e)
    if (e->until <= now)
      n++;
    else
      next = std::min(next, e->until);
  if (n > kFewAtOnce && !impl_->build) {
    if (before > kFew) {
      impl_->begin({}, now);
      impl_->launch();
      return 0;
    }
    if (impl_->build_now({}, now)) return n;
  }
  for (const Entry& e : c.due(now, kFewAtOnce)) impl_->take(e);
  c.set_soonest(n > kFewAtOnce ? now : next);  // the others next time
  return before - impl_->entries().size();
}

Instant PrefixList::next_expiry() const {
  return impl_->contents.soonest();
}

void PrefixList::when_used(std::function<void(bool)> f) {
  impl_->used = std::move(f);
}

size_t PrefixList::size() const {
  return impl_->entries().size();
}

size_t PrefixList::size(Origin from, sluice_action a) const {
  return a < SLUICE_ACTIONS ? impl_->contents.counts().by[static_cast<unsigned>(from)][a] : 0;
}

size_t PrefixList::memory_bytes() const {
  const Impl& i = *impl_;
  return i.entries().bytes() + (i.build ? i.bytes : i.slots[i.control->lists].memory_bytes());
}

void PrefixList::visit(size_t from, size_t n, const std::function<void(const View&)>& f) const {
  for (auto c = impl_->entries().at(from); c && n > 0; ++c, n--) f(view_of(*c));
}

std::optional<PrefixList::View> PrefixList::find(const IpAddr& a) const {
  if (a.none()) return {};
  const Entry host(Prefix{a, static_cast<uint8_t>(a.bits())}, Origin{});
  for (unsigned len = a.bits() + 1; len-- > 0;)
    if (const Entry* e = impl_->entries().effective(host.around(static_cast<uint8_t>(len), Origin{}))) return view_of(*e);
  return {};
}

std::vector<Prefix> PrefixList::blocked(size_t at_most) const {
  if (at_most == 0) return {};
  auto& answer = impl_->blocked;
  if (answer.at_most != at_most) answer = {at_most, impl_->wholly_blocked(at_most)};
  return answer.prefixes;
}

std::vector<Prefix> PrefixList::Impl::wholly_blocked(size_t at_most) const {
  std::vector<Entry> allowed;
  for (auto c = entries().begin(); c; ++c)
    if (c->action == SLUICE_ACTION_ALLOW) allowed.push_back(*c);
  std::vector<std::vector<Entry>> by_length(129);
  const Entry *before = nullptr, *taken = nullptr;
  for (auto c = entries().begin(); c; ++c) {
    const Entry& e = *c;
    const bool shadowed = before && before->same_prefix(e);
    before = &e;
    if (shadowed || e.action != SLUICE_ACTION_BLOCK || (taken && taken->holds(e))) continue;
    const auto inside = std::lower_bound(allowed.begin(), allowed.end(), e);
    if ((inside != allowed.end() && e.holds(*inside)) || by_length[e.len].size() >= at_most) continue;
    by_length[e.len].push_back(e);
    taken = &e;
  }
  std::vector<Prefix> all;
  for (const auto& same : by_length)
    for (const Entry& e : same)
      if (all.size() < at_most) all.push_back(e.prefix());
  return all;
}

}  // namespace sluice::shed
