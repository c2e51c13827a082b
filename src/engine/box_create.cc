// Building a box: pool, ports, tables, rings, engines, lcores.
#include <rte_common.h>

#include <algorithm>
#include <new>

#include "engine/box_impl.h"
#include "engine/numa.h"
#include "engine/secrets.h"
#include "port/tap.h"

namespace sluice::engine {

namespace {

Status check(const BoxOptions& o) {
  if (o.worker_cpus.empty()) return Error{"no worker: name at least one CPU in system.workers"};
  if (o.worker_cpus.size() > kMaxWorkers)
    return Error{"more than " + std::to_string(kMaxWorkers) + " workers: name fewer CPUs in system.workers"};
  if (o.stack_cpus.size() > kMaxStacks)
    return Error{"more than " + std::to_string(kMaxStacks) + " stack engines: name fewer CPUs in system.stack"};
  if (o.ports.empty()) return Error{"no port: name at least one in ports"};
  if (o.ports.size() > kMaxPorts)
    return Error{"more than " + std::to_string(kMaxPorts) + " ports: remove some"};
  if (o.ring_size < 2 * kMaxBurst || !rte_is_power_of_2(o.ring_size))
    return Error{"a ring size of " + std::to_string(o.ring_size) + ": it must be a power of two, 128 or more"};
  return {};
}

std::string pool_name() {
  static std::atomic<unsigned> made{0};  // the names of pools are global to the process
  return "packets" + std::to_string(made++);
}

}  // namespace

Box::Box() = default;
Box::~Box() { stop(); }

Result<std::unique_ptr<Box>> Box::create(const BoxOptions& o) {
  if (Status s = check(o); !s) return Error{s.error()};
  std::unique_ptr<Box> box(new Box);
  box->impl_ = std::make_unique<Impl>();
  Impl& b = *box->impl_;
  b.options = o;
  if (!b.options.open_port) b.options.open_port = port::open;
  if (!b.options.open_tap) b.options.open_tap = port::open_tap;

  auto pool = PacketPool::create(pool_name(), {.packets = o.packets,
                                               .numa_node = numa_node_of(o.worker_cpus[0]),
                                               .huge_pages = o.huge_pages});
  if (!pool) return Error{pool.error()};
  b.pool = std::move(*pool);
  if (Status s = b.open_ports(); !s) return Error{s.error()};
  try {
    if (Status s = b.make_engines(); !s) return Error{s.error()};
  } catch (const std::bad_alloc&) {
    return Error{"not enough memory for the tables and rings: lower flows, neighbors or the number of workers"};
  }
  b.warn_about_far_memory();
  return box;
}

Status Box::Impl::open_ports() {
  for (const port::Options& p : options.ports) {
    auto opened = options.open_port(p, *pool);
    if (!opened) return Error{opened.error()};
    ports.push_back(std::move(*opened));
  }
  taps.resize(ports.size());
  return {};
}

Status Box::Impl::make_engines() {
  auto secrets = Secrets::make(options.seed);
  if (!secrets) return Error{secrets.error()};
  neighbors = std::make_unique<NeighborTable>(options.neighbors, secrets->key());

  // A sequence of its own, so that a seeded run without TCP gives the same bytes whatever TCP draws.
  auto tcp_secrets = Secrets::make(options.seed ? ~options.seed : 0);
  if (!tcp_secrets) return Error{tcp_secrets.error()};

  place_lcores();
  const auto& cpus = options.worker_cpus;
  const auto count = static_cast<unsigned>(cpus.size());
  std::vector<Bell*> bells, stack_bells;
  for (unsigned w = 0; w < count; ++w) bells.push_back(&lcores[w]->bell());
  for (size_t l : stack_lcore) stack_bells.push_back(&lcores[l]->bell());
  wiring = std::make_unique<Wiring>(ports, bells, stack_bells, options.ring_size, tcp_secrets->key());

  path::PipelineConfig p = options.pipeline;
  p.workers = count;
  p.steer = count > 1 && !wiring->symmetric();
  p.steer_key = secrets->key();
  for (unsigned w = 0; w < count; ++w) {
    p.worker = w;
    p.flow_key = secrets->key();
    p.numa_node = numa_node_of(cpus[w]);
    workers.push_back(std::make_unique<Worker>(w, *wiring, p, *neighbors, pool->mempool()));
    lcores[w]->add(workers[w].get(), "worker " + std::to_string(w));
  }
  make_stacks(*secrets, *tcp_secrets);
  return {};
}

// Stack engines have CPUs of their own, or are guests of the worker that has their CPU.
void Box::Impl::place_lcores() {
  const auto& cpus = options.worker_cpus;
  auto engines = options.stack_cpus;
  if (engines.empty()) engines = {cpus[0]};
  qsbr = std::make_unique<Qsbr>(static_cast<unsigned>(cpus.size() + engines.size()));
  const bool busy = options.idle == IdlePolicy::busy;
  const auto add_lcore = [&](unsigned cpu) {
    lcores.push_back(std::make_unique<Lcore>(static_cast<unsigned>(lcores.size()), cpu, busy, *qsbr, pool->mempool()));
  };
  for (unsigned cpu : cpus) add_lcore(cpu);
  for (unsigned cpu : engines) {
    const auto on = std::find_if(lcores.begin(), lcores.end(), [&](const auto& l) { return l->cpu() == cpu; });
    stack_lcore.push_back(static_cast<size_t>(on - lcores.begin()));
    if (on == lcores.end()) add_lcore(cpu);
  }
  watch.resize(lcores.size());
}

void Box::Impl::make_stacks(Secrets& keys, Secrets& tcp) {
  stack::StackConfig c = options.stack;
  c.engines = static_cast<unsigned>(stack_lcore.size());
  c.ports_finish_checksums = std::all_of(ports.begin(), ports.end(), [](const auto& p) { return p->info().tx_checksum; });
  for (uint64_t* key : {c.secrets.isn, c.secrets.timestamp, c.secrets.cookie})
    for (unsigned i = 0; i < 2; ++i) key[i] = tcp.word();
  for (unsigned e = 0; e < c.engines; ++e) {
    c.index = e;
    c.key = keys.key();
    c.seed = keys.word();
    c.secrets.table = tcp.key();
    c.secrets.seed = tcp.word();
    stacks.push_back(std::make_unique<StackEngine>(*wiring, c, *neighbors, pool->mempool(), options.virtual_time));
    lcores[stack_lcore[e]]->add(stacks[e].get(), c.engines == 1 ? "stack" : "stack " + std::to_string(e));
  }
}

void Box::Impl::warn_about_far_memory() {
  for (const auto& p : ports)
    for (const auto& l : lcores) {
      const int near = numa_node_of(l->cpu()), far = p->info().numa_node;
      if (near >= 0 && far >= 0 && near != far)
        events.push_back({port::Event::Level::warning,
                          "CPU " + std::to_string(l->cpu()) + " (" + l->role() + ") is far from port " +
                              p->info().name + ": take a CPU of NUMA node " + std::to_string(far)});
    }
}

}  // namespace sluice::engine
