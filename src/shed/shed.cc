#include "shed/shed.h"

#include <algorithm>
#include <atomic>

#include "shed/list_memory.h"
#include "shed/policy_compile.h"
#include "shed/shared_array.h"

namespace sluice::shed {

// A policy is written into the slot that is not in force; nobody looks at it, since the last change waited for those who
// did. So verdicts see the old policy or the new one.
struct Shed::Impl {
  Impl(const Keys& k, bool in_kernel) : keys(k), kernel(in_kernel) {}
  Status make();
  void compile_policy();
  void use_lists(bool any);
  sluice_policy& slot(uint32_t i) { return policies.as<sluice_policy>()[i]; }
  uint32_t current() const { return control.as<sluice_control>()->policy; }

  const Keys keys;
  const bool kernel;
  SharedArray control, policies, hints_memory, sources, destinations, syns;
  SharedArray own_sources, own_destinations, own_syns;  // of the verdict in user space
  ListMemory* list_memory = nullptr;                    // the list's
  std::optional<PrefixList> lists;
  std::optional<FlowHints> hints;
  Policy policy;
  unsigned queues = 1;
  std::vector<Service> services;
  Instant next_generation{};
};

Status Shed::Impl::make() {
  const struct {
    SharedArray& array;
    SharedArray::Shape shape;
    bool in_kernel;
  } all[] = {
      {control, {"control", sizeof(sluice_control), 1}, kernel},
      {policies, {"policy", sizeof(sluice_policy), 2}, kernel},
      {hints_memory, {"hints", sizeof(sluice_hint_cell), SLUICE_HINT_CELLS}, kernel},
      {sources, {"sources", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, kernel},
      {destinations, {"destinations", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, kernel},
      {syns, {"syns", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, kernel},
      {own_sources, {"sources", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, false},
      {own_destinations, {"destinations", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, false},
      {own_syns, {"syns", sizeof(sluice_bucket_set), SLUICE_BUCKET_SETS}, false},
  };
  for (const auto& m : all) {
    auto made = SharedArray::make(m.shape, m.in_kernel);
    if (!made) return Error{made.error()};
    m.array = std::move(made).value();
  }
  auto memory = ListMemory::create(kernel);
  if (!memory) return Error{memory.error()};
  list_memory = memory->get();
  lists.emplace(std::move(memory).value(), control.as<sluice_control>(), keys.list[0], keys.list[1]);
  lists->when_used([this](bool any) { use_lists(any); });
  hints.emplace(hints_memory.as<sluice_hints>(), keys.hint[0], keys.hint[1]);
  compile_policy();
  return {};
}

void Shed::Impl::compile_policy() {
  const uint32_t next = current() ^ 1;
  compile(policy, queues, services, keys, slot(next));
  if (lists->size() > 0) slot(next).checks |= SLUICE_CHECK_LISTS;
  std::atomic_ref(control.as<sluice_control>()->policy).store(next, std::memory_order_release);
  list_memory->grace();
}

// One word of the policy in force: with the lists empty, no frame is parsed for them.
void Shed::Impl::use_lists(bool any) {
  auto& checks = slot(current()).checks;
  const uint32_t wanted = (checks & ~uint32_t{SLUICE_CHECK_LISTS}) | (any ? SLUICE_CHECK_LISTS : 0);
  if (wanted != checks) std::atomic_ref(checks).store(wanted, std::memory_order_release);
}

Shed::Shed(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Shed::~Shed() = default;

Result<std::unique_ptr<Shed>> Shed::create(const Keys& keys, bool kernel) {
  auto impl = std::make_unique<Impl>(keys, kernel);
  if (Status s = impl->make(); !s) return Error{s.error()};
  return std::unique_ptr<Shed>(new Shed(std::move(impl)));
}

Status Shed::set_policy(const Policy& p, unsigned queues) {
  Status s = check(p);
  if (s && (p.lists != impl_->policy.lists || p.bogons != impl_->policy.bogons))
    s = impl_->lists->replace({{.from = Origin::file, .come = p.lists, .go = kAllActions},
                               {.from = Origin::bogon, .come = bogons(p.bogons), .go = kAllActions}});
  if (!s) return s;
  impl_->policy = p;
  impl_->queues = queues;
  impl_->compile_policy();
  return {};
}

const Policy& Shed::policy() const {
  return impl_->policy;
}

void Shed::set_services(const std::vector<Service>& all) {
  if (all == impl_->services) return;
  impl_->services = all;
  impl_->compile_policy();
}

PrefixList& Shed::lists() {
  return *impl_->lists;
}
FlowHints& Shed::hints() {
  return *impl_->hints;
}
bool Shed::in_kernel() const {
  return impl_->kernel;
}
void Shed::set_quiesce(std::function<void()> f) {
  impl_->list_memory->set_quiesce(std::move(f));
}

port::ShedMaps Shed::maps() const {
  const Impl& i = *impl_;
  return {i.control.fd(),
          i.policies.fd(),
          i.hints_memory.fd(),
          i.sources.fd(),
          i.destinations.fd(),
          i.syns.fd(),
          i.list_memory->slots4_fd(),
          i.list_memory->groups_fd(),
          i.list_memory->list6_fd()};
}

void Shed::maintain(Instant now, Instant kernel_now) {
  impl_->lists->settle(now);
  impl_->lists->expire(now);
  if (now >= impl_->next_generation) {
    if (impl_->next_generation != Instant{}) impl_->hints->turn();
    impl_->next_generation = now + FlowHints::kGeneration;
  }
  // The programs read the kernel's clock; cookies are made and checked by the dataplane's.
  std::atomic_ref(impl_->control.as<sluice_control>()->clock_ahead).store((now - kernel_now).ns, std::memory_order_relaxed);
}

sluice_env Shed::environment() {
  Impl& i = *impl_;
  auto* control = i.control.as<sluice_control>();
  const uint32_t lists = std::atomic_ref(control->lists).load(std::memory_order_acquire);
  const auto& memory = i.list_memory->slot(lists);
  sluice_env e{};
  e.policy = &i.slot(std::atomic_ref(control->policy).load(std::memory_order_acquire));
  e.list = &control->list[lists];
  e.slots4 = memory.slots4.load(std::memory_order_acquire);
  e.groups = memory.groups.load(std::memory_order_acquire);
  e.list6 = memory.list6.load(std::memory_order_acquire);
  e.hints = i.hints_memory.as<sluice_hints>();
  e.sources = i.own_sources.as<sluice_buckets>();
  e.destinations = i.own_destinations.as<sluice_buckets>();
  e.syns = i.own_syns.as<sluice_buckets>();
  return e;
}

}  // namespace sluice::shed
