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

  const auto& cpus = options.worker_cpus;
  const auto count = static_cast<unsigned>(cpus.size());
  const bool busy = options.idle == IdlePolicy::busy;
  qsbr = std::make_unique<Qsbr>(count + 1);
  std::vector<Bell*> bells;
  const auto add_lcore = [&](unsigned cpu) {
    lcores.push_back(std::make_unique<Lcore>(static_cast<unsigned>(lcores.size()), cpu, busy, *qsbr, pool->mempool()));
  };
  for (unsigned cpu : cpus) {
    add_lcore(cpu);
    bells.push_back(&lcores.back()->bell());
  }
  // On a CPU of its own, or as the guest of the worker that has its CPU.
  if (options.stack_cpu >= 0) {
    const auto cpu = static_cast<unsigned>(options.stack_cpu);
    stack_index = static_cast<size_t>(std::find(cpus.begin(), cpus.end(), cpu) - cpus.begin());
    if (stack_index == cpus.size()) add_lcore(cpu);
  }
  watch.resize(lcores.size());
  wiring = std::make_unique<Wiring>(ports, bells, stack_lcore().bell(), options.ring_size);

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
  stack::StackConfig c = options.stack;
  c.key = secrets->key();
  c.seed = secrets->word();
  stack = std::make_unique<StackEngine>(*wiring, c, *neighbors, pool->mempool(), options.virtual_time);
  stack_lcore().add(stack.get(), "stack");
  return {};
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
