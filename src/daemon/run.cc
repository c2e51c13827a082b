// sluiced run: the control thread. One epoll loop over the control socket, signals and a 200 ms timer.
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <csignal>

#include "control/commands.h"
#include "control/metrics.h"
#include "control/server.h"
#include "daemon/commands.h"
#include "daemon/log.h"
#include "daemon/startup.h"
#include "sluice/control.h"

namespace sluice::daemon {

namespace {

constexpr long kUpkeepNs = 200'000'000;
constexpr int kWaitingMs = 5;      // between two looks whether an answer that comes later is there
constexpr unsigned kTicksAMetric = 5;  // /metrics is a second old at most

double monotonic_seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

class ControlLoop {
 public:
  ControlLoop(control::Context& c, control::Server& server) : c_(c), server_(server) {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    itimerspec every{{0, kUpkeepNs}, {0, kUpkeepNs}};
    timerfd_settime(timer_, 0, &every, nullptr);
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (int fd : {signals_, timer_, server_.fd()}) {
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.fd = fd;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &e);
    }
  }
  ~ControlLoop() {
    for (int fd : {signals_, timer_, epoll_}) close(fd);
  }

  void run() {
    while (!c_.stop_requested) {
      epoll_event ev[8];
      int n = epoll_wait(epoll_, ev, 8, server_.waiting() ? kWaitingMs : -1);
      for (int i = 0; i < n; i++) {
        if (ev[i].data.fd == signals_)
          on_signal();
        else if (ev[i].data.fd == timer_)
          on_timer();
        else
          server_.turn();
      }
      if (n == 0) server_.turn();
    }
  }

 private:
  void on_signal() {
    signalfd_siginfo s;
    while (read(signals_, &s, sizeof s) == sizeof s) {
      if (s.ssi_signo != SIGHUP) {
        spdlog::info("{}: draining", s.ssi_signo == SIGTERM ? "SIGTERM" : "SIGINT");
        c_.stop_requested = true;
        continue;
      }
      control::ApplyResult r = c_.running.reload();
      port::Event e{r.ok ? port::Event::Level::info : port::Event::Level::error,
                    "SIGHUP, " + c_.running.file() + ": " + r.summary};
      c_.log_event(e);
      log_event(e);
      for (const auto& m : r.mistakes) spdlog::error("{}", config::to_string(m));
    }
  }

  void on_timer() {
    uint64_t ticks;
    (void)!read(timer_, &ticks, sizeof ticks);
    for (const port::Event& e : c_.box.maintain()) {
      c_.log_event(e);
      log_event(e);
    }
    for (const port::Event& e : c_.services.maintain()) {
      c_.log_event(e);
      log_event(e);
    }
    for (const std::string& line : c_.services.access_log()) {
      c_.log_access(line);
      spdlog::debug("{}", line);
    }
    if (++ticks_ % kTicksAMetric == 0 && control::metrics_wanted(c_.running.model()))
      c_.services.set().pages().metrics.publish(200, "text/plain; version=0.0.4; charset=utf-8", control::metrics_text(c_));
    if (std::string what = c_.running.refresh(); !what.empty()) {
      const port::Event e{port::Event::Level::info, what};
      c_.log_event(e);
      log_event(e);
    }
    c_.rates.sample(c_.box, monotonic_seconds());
  }

  control::Context& c_;
  control::Server& server_;
  int signals_, timer_, epoll_;
  unsigned ticks_ = 0;
};

void block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);  // before any thread: lcores inherit it
  signal(SIGPIPE, SIG_IGN);
}

void announce(const Startup& s) {
  for (const auto& p : s.box->ports()) {
    const port::Info& i = p->info();
    spdlog::info("port {}: {} on {}, {}, {} queue{}, MTU {}, MAC {} ({})", i.name, i.driver, i.device, i.mode,
                 i.rx_queues, i.rx_queues == 1 ? "" : "s", i.mtu, to_string(i.mac), i.reason);
  }
  for (const auto& l : s.box->lcores()) spdlog::info("lcore on CPU {}: {}", l.cpu, l.role);
}

}  // namespace

int run(const RunOptions& o) {
  start_log(o.verbose);
  auto set = parse_overrides(o.set);
  if (!set) {
    spdlog::error("{}", set.error());
    return 2;
  }
  Startup s;
  if (!load(s, o.config, *set)) return 2;
  block_signals();
  const config::Control& cc = s.loaded.model.control;
  control::ServerOptions so{cc.socket, cc.mode, cc.owner, cc.group};
  so.max_request = control::kMaxRequest;
  // The socket comes first: a second sluiced on the same one must not touch any port.
  control::Context* context = nullptr;
  auto server = control::Server::listen(so, [&](std::string_view line) {
    return context ? control::answer_line(*context, control::verbs(), line) : control::Reply();
  });
  if (!server) {
    spdlog::error("{}", server.error());
    return 1;
  }
  if (Status st = assemble(s); !st) {
    spdlog::error("{}", st.error());
    return 1;
  }
  announce(s);
  control::Running running(*s.box, *s.services, std::move(s.loaded), s.text, s.file, s.set);
  control::Rates rates;
  control::Context c{*s.box, running, rates, SLUICE_VERSION, *s.services, control::unix_now()};
  if (Status st = s.box->start(); !st) {
    spdlog::error("{}", st.error());
    return 1;
  }
  context = &c;
  spdlog::info("running; control socket {}", so.path);
  ControlLoop(c, **server).run();
  (*server)->flush(200);
  s.box->stop();
  for (const port::Event& e : s.box->maintain()) log_event(e);
  control::Audit a = control::audit(*s.box);
  spdlog::info("stopped; received {}, transmitted {}, dropped {}; audit {}", a.sum.received, a.transmitted,
               a.sum.dropped, a.verdict);
  return 0;
}

}  // namespace sluice::daemon
