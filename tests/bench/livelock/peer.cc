// The legitimate traffic of the livelock curve: a small HTTP server, and clients that ask it in an open loop.
//
//   peer serve ADDR:PORT [--cpu N] [--fair]
//   peer ask --seconds S [--skip S] [--timeout S] [--cpu N] NAME=ADDR:PORT,keep|new,CLIENTS,MILLISECONDS …
//
// Each client asks every so many milliseconds, whatever came of the request before: on a connection that stays (keep) or
// on one of its own (new). A request counts from the moment at which it was due, so that a late answer makes the ones
// behind it late too. One that is not answered in time has failed, as have those that fell due meanwhile; the client then
// connects again. Prints one line of JSON: asked, answered, latencies in microseconds, by NAME.
//
// Both run at real-time priority, for the sender of the flood has the same CPU and is not what is measured; --fair
// leaves the server at ordinary priority, where it is part of a box that is measured.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\nhello from a host\n";
constexpr std::string_view kEndOfHead = "\r\n\r\n";

[[noreturn]] void die(const std::string& why) {
  fprintf(stderr, "peer: %s\n", why.c_str());
  exit(2);
}

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

sockaddr_in address(const std::string& text) {
  const size_t colon = text.find(':');
  sockaddr_in a{};
  a.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, text.substr(0, colon).c_str(), &a.sin_addr) != 1)
    die(text + " is not ADDR:PORT");
  a.sin_port = htons(uint16_t(atoi(text.c_str() + colon + 1)));
  return a;
}

void place(int cpu, bool first) {
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(unsigned(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set)) die("cannot run on CPU " + std::to_string(cpu));
  }
  prctl(PR_SET_TIMERSLACK, 1);
  const sched_param p{.sched_priority = 10};
  if (first && sched_setscheduler(0, SCHED_FIFO, &p)) setpriority(PRIO_PROCESS, 0, -20);
}

void set_options(int fd) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

// ---- server

void serve(const std::string& where) {
  const sockaddr_in a = address(where);
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, reinterpret_cast<const sockaddr*>(&a), sizeof a) || listen(listener, 4096))
    die("cannot listen on " + where + ": " + strerror(errno));
  std::vector<pollfd> fds{{listener, POLLIN, 0}};
  for (;;) {
    if (poll(fds.data(), fds.size(), -1) < 0) continue;
    for (size_t i = fds.size(); i-- > 1;) {
      if (!fds[i].revents) continue;
      char buffer[2048];
      const ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
      if (n < 0 && errno == EAGAIN) continue;
      // Requests come whole: they are smaller than any segment.
      const bool asked = n > 0 && std::string_view(buffer, size_t(n)).ends_with(kEndOfHead);
      if (asked && write(fds[i].fd, kAnswer.data(), kAnswer.size()) == ssize_t(kAnswer.size())) continue;
      close(fds[i].fd);
      fds[i] = fds.back();
      fds.pop_back();
    }
    if (!fds[0].revents) continue;
    for (int fd; (fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) >= 0;) {
      set_options(fd);
      fds.push_back({fd, POLLIN, 0});
    }
  }
}

// ---- clients

struct Record {
  uint64_t asked = 0, answered = 0;
  std::vector<float> latency;  // µs
};

class Client {
 public:
  Client(const sockaddr_in& to, bool keep, double period, double first, double timeout, Record& record)
      : to_(to), keep_(keep), period_(period), timeout_(timeout), due_(first), record_(record) {
    if (keep_) connect();
  }
  ~Client() { disconnect(); }

  // The next moment at which something is to be done without the socket.
  double deadline() const { return waiting_ ? due_ + timeout_ : due_; }
  bool waiting() const { return waiting_; }
  pollfd interest() const { return {fd_, short(sent_ || !waiting_ ? POLLIN : POLLOUT), 0}; }

  void turn(double t, short events, double count_from, bool more) {
    if (events) ready(t, count_from);
    if (waiting_ && t >= due_ + timeout_) fail(t, count_from);
    if (!waiting_ && t >= due_ && more) {
      waiting_ = true;
      if (fd_ < 0) connect();
      if (keep_) ask();
    }
  }

 private:
  void connect() {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    if (fd_ < 0) die("no socket");
    set_options(fd_);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) && errno != EINPROGRESS) disconnect();
  }
  void disconnect() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
    sent_ = false;
    got_ = 0;
  }
  void ask() {
    if (fd_ >= 0 && write(fd_, kRequest.data(), kRequest.size()) == ssize_t(kRequest.size())) sent_ = true;
    else if (fd_ >= 0 && errno != EAGAIN && errno != ENOTCONN) disconnect();
  }
  void ready(double t, double count_from) {
    if (!waiting_) {  // the server has closed, or speaks unasked
      char c;
      if (read(fd_, &c, 1) >= 0 || errno != EAGAIN) disconnect();
      return;
    }
    if (!sent_) return ask();
    char buffer[2048];
    const ssize_t n = read(fd_, buffer, sizeof buffer);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return disconnect();  // the time-out tells
    const std::string_view text(buffer, size_t(n));
    if (got_ == 0 && !text.starts_with("HTTP/1.1 200")) return disconnect();
    got_ += size_t(n);
    // What the box says in its headers is its own: the answer is over with the body's last byte.
    if (text.back() != '\n' || text.ends_with(kEndOfHead)) return;
    if (due_ >= count_from) {
      record_.asked++;
      record_.answered++;
      record_.latency.push_back(float((t - due_) * 1e6));
    }
    finish();
    due_ += period_;
  }
  void fail(double t, double count_from) {
    for (; due_ + timeout_ <= t || due_ + period_ <= t; due_ += period_) record_.asked += due_ >= count_from;
    disconnect();
    finish();
  }
  void finish() {
    waiting_ = sent_ = false;
    got_ = 0;
    if (!keep_) disconnect();
  }

  sockaddr_in to_;
  bool keep_, waiting_ = false, sent_ = false;
  size_t got_ = 0;
  int fd_ = -1;
  double period_, timeout_, due_;
  Record& record_;
};

// A request that failed stands among the latencies with the time-out, so that no percentile gets better by a loss.
void print(std::map<std::string, Record>& records, double timeout) {
  const char* comma = "{";
  for (auto& [name, r] : records) {
    r.latency.resize(std::max<size_t>(r.latency.size(), r.asked), float(timeout * 1e6));
    std::sort(r.latency.begin(), r.latency.end());
    const auto at = [&v = r.latency](double p) {
      return v.empty() ? NAN : double(v[std::min(v.size() - 1, size_t(p * double(v.size())))]);
    };
    printf("%s\"%s\": {\"asked\": %llu, \"answered\": %llu", comma, name.c_str(), static_cast<unsigned long long>(r.asked),
           static_cast<unsigned long long>(r.answered));
    if (!r.latency.empty())
      printf(", \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f", at(0.5), at(0.99), at(0.999),
             double(r.latency.back()));
    printf("}");
    comma = ", ";
  }
  printf("}\n");
}

struct Plan {
  double seconds = 1, skip = 0, timeout = 1;
  std::vector<std::string> streams;
};

void ask(const Plan& plan) {
  std::map<std::string, Record> records;
  std::vector<std::unique_ptr<Client>> clients;
  Record& all = records["all"];
  const double start = now() + 0.05, end = start + plan.seconds;
  for (const std::string& s : plan.streams) {
    char name[32], where[64], kind[8];
    int n;
    double ms;
    if (sscanf(s.c_str(), "%31[^=]=%63[^,],%7[^,],%d,%lf", name, where, kind, &n, &ms) != 5 || n < 1 || ms <= 0)
      die(s + " is not NAME=ADDR:PORT,keep|new,CLIENTS,MILLISECONDS");
    for (int i = 0; i < n; i++)
      clients.push_back(std::make_unique<Client>(address(where), !strcmp(kind, "keep"), ms / 1e3, start + ms / 1e3 * i / n,
                                                 plan.timeout, records[name]));
  }
  std::vector<pollfd> fds(clients.size());
  for (;;) {
    const double t = now();
    double next = t + 1;
    bool waiting = false;
    for (size_t i = 0; i < clients.size(); i++) {
      clients[i]->turn(t, fds[i].revents, start + plan.skip, t < end);
      fds[i] = clients[i]->interest();
      if (clients[i]->waiting() || t < end) next = std::min(next, clients[i]->deadline());
      waiting |= clients[i]->waiting();
    }
    if (t >= end && !waiting) break;
    const double left = std::max(next - now(), 0.0);
    const timespec ts{time_t(left), long((left - double(time_t(left))) * 1e9)};
    if (ppoll(fds.data(), fds.size(), &ts, nullptr) <= 0)
      for (pollfd& f : fds) f.revents = 0;
  }
  for (const auto& [name, r] : records) {
    if (&r == &all) continue;
    all.asked += r.asked;
    all.answered += r.answered;
    all.latency.insert(all.latency.end(), r.latency.begin(), r.latency.end());
  }
  print(records, plan.timeout);
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  const std::string what = argc > 1 ? argv[1] : "";
  Plan plan;
  int cpu = -1;
  bool fair = false;
  for (int i = 2; i < argc; i++) {
    const std::string a = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (a == "--fair") fair = true;
    else if (a == "--cpu") cpu = atoi(value), i++;
    else if (a == "--seconds") plan.seconds = atof(value), i++;
    else if (a == "--skip") plan.skip = atof(value), i++;
    else if (a == "--timeout") plan.timeout = atof(value), i++;
    else plan.streams.push_back(a);
  }
  if ((what != "serve" && what != "ask") || plan.streams.empty()) die("serve ADDR:PORT, or ask NAME=ADDR:PORT,… …");
  place(cpu, !fair);
  if (what == "serve") serve(plan.streams[0]);
  ask(plan);
  return 0;
}
