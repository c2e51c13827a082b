// Building a box: pool, ports, tables, rings, engines, lcores.
#include <rte_common.h>

#include <algorithm>
#include <new>

#include "engine/box_impl.h"
#include "engine/numa.h"
#include "engine/secrets.h"
#include "port/open.h"
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

constexpr unsigned kCloneCache = 256;  // of each lcore

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
  if (!b.options.open_tap) b.options.open_tap = port::open_tap;

  auto pool = PacketPool::create(pool_name(), {.packets = o.packets,
                                               .numa_node = numa_node_of(o.worker_cpus[0]),
                                               .huge_pages = o.huge_pages});
  if (!pool) return Error{pool.error()};
  b.pool = std::move(*pool);
  for (const auto step : {&Impl::make_keys, &Impl::make_shed, &Impl::open_ports, &Impl::choose_offloads})
    if (Status s = (b.*step)(); !s) return Error{s.error()};
  if (Status s = box->set_shed_policy(o.shed); !s) return Error{s.error()};
  try {
    b.make_engines();
  } catch (const std::bad_alloc&) {
    return Error{"not enough memory for the tables and rings: lower flows, neighbors or the number of workers"};
  }
  b.warn_about_far_memory();
  return box;
}

// Seeded, each part draws from a sequence of its own: what one draws more changes nothing in the others.
Status Box::Impl::make_keys() {
  auto table = Secrets::make(options.seed);
  auto tcp = Secrets::make(options.seed ? ~options.seed : 0);
  if (!table) return Error{table.error()};
  if (!tcp) return Error{tcp.error()};
  Keys k{.table = *table, .share = tcp->key(), .tcp = {}, .tcp_tables = *tcp};
  for (uint64_t* key : {k.tcp.isn, k.tcp.timestamp, k.tcp.cookie})
    for (unsigned i = 0; i < 2; ++i) key[i] = k.tcp_tables.word();
  keys = k;
  return {};
}

// Plain memory will do where no port is one of the kernel's.
Status Box::Impl::make_shed() {
  const bool kernel = std::any_of(options.ports.begin(), options.ports.end(), [&](const port::Options& p) {
    if (p.driver == port::Driver::automatic && !options.open_port)
      return port::choose_driver(p.device).driver == port::Driver::af_xdp;
    return p.driver == port::Driver::af_xdp;
  });
  auto own = Secrets::make(options.seed ? options.seed + 1 : 0);
  if (!own) return Error{own.error()};
  shed::Keys k;
  for (uint64_t* key : {k.hint, k.table, k.list})
    for (unsigned i = 0; i < 2; ++i) key[i] = own->word();
  std::copy(std::begin(keys->tcp.cookie), std::end(keys->tcp.cookie), k.cookie);
  std::copy(std::begin(keys->tcp.timestamp), std::end(keys->tcp.timestamp), k.timestamp);
  auto made = shed::Shed::create(k, kernel);
  if (!made) return Error{made.error()};
  shed = std::move(*made);
  shed->set_quiesce([this] { quiesce(); });
  return {};
}

Status Box::Impl::open_ports() {
  for (port::Options p : options.ports) {
    p.shed = shed->maps();
    auto opened = options.open_port ? options.open_port(p, *pool) : port::open(p, *pool);
    if (!opened) return Error{opened.error()};
    ports.push_back(std::move(*opened));
  }
  taps.resize(ports.size());
  return {};
}

void Box::Impl::make_engines() {
  neighbors = std::make_unique<NeighborTable>(options.neighbors, keys->table.key());
  place_lcores();
  const auto& cpus = options.worker_cpus;
  const auto count = static_cast<unsigned>(cpus.size());
  std::vector<Bell*> bells, stack_bells;
  for (unsigned w = 0; w < count; ++w) bells.push_back(&lcores[w]->bell());
  for (size_t l : stack_lcore) stack_bells.push_back(&lcores[l]->bell());
  wiring = std::make_unique<Wiring>(ports, bells, stack_bells, options.ring_size, keys->share);

  path::PipelineConfig p = options.pipeline;
  p.workers = count;
  p.steer = count > 1 && !wiring->symmetric();
  p.steer_key = keys->table.key();
  p.hints = &shed->hints();
  for (unsigned w = 0; w < count; ++w) {
    p.worker = w;
    p.flow_key = keys->table.key();
    p.numa_node = numa_node_of(cpus[w]);
    workers.push_back(
        std::make_unique<Worker>(w, *wiring, p, *neighbors, pool->mempool(), *shed, !options.virtual_time));
    workers.back()->govern(options.shed.governor);
    lcores[w]->add(workers[w].get(), "worker " + std::to_string(w));
  }
  make_stacks();
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

// One port that cannot is enough: routes change, and what was made for one port leaves by another.
Status Box::Impl::choose_offloads() {
  for (const auto& p : ports) offloads = p == ports.front() ? p->info().tx : common(offloads, p->info().tx);
  if (!offloads.tcp_checksum || offloads.segments < 2) return {};
  auto made = ClonePool::create(pool_name(), options.packets, kCloneCache);
  if (!made) return Error{made.error()};
  clones = std::move(*made);
  return {};
}

void Box::Impl::make_stacks() {
  stack::StackConfig c = options.stack;
  c.engines = static_cast<unsigned>(stack_lcore.size());
  c.tx = offloads;
  c.clones = clones ? clones->mempool() : nullptr;
  c.secrets = keys->tcp;
  c.hints = &shed->hints();
  for (unsigned e = 0; e < c.engines; ++e) {
    c.index = e;
    c.key = keys->table.key();
    c.seed = keys->table.word();
    c.secrets.table = keys->tcp_tables.key();
    c.secrets.seed = keys->tcp_tables.word();
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
