// A network of veth pairs for one test program: its own network namespace, entered before EAL starts, which
// disappears with the process. Needs root; where that is missing every test that asks lab() is skipped.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

namespace sluice::test {

inline bool in_lab = false;

inline bool run(const std::string& command) {
  return std::system((command + " >/dev/null 2>&1").c_str()) == 0;
}

// Off: no router solicitations and reports between the frames of a test.
inline void quiet_ipv6(bool off = true) {
  for (const char* which : {"all", "default"})
    std::ofstream(std::string("/proc/sys/net/ipv6/conf/") + which + "/disable_ipv6") << (off ? 1 : 0);
}

class VethLab : public ::testing::Environment {
 public:
  void SetUp() override {
    in_lab = unshare(CLONE_NEWNET) == 0 && run("ip link set lo up");
    if (in_lab) quiet_ipv6();
  }
};

#define NEED_LAB()             \
  if (!::sluice::test::in_lab) \
  GTEST_SKIP() << "needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN) and iproute2: SKIPPED, NOT TESTED"

// A pair of which `name` is the box's end; both are up. Gone with the object.
class Veth {
 public:
  Veth(std::string name, unsigned queues = 1, unsigned mtu = 1500)
      : name_(std::move(name)), peer_(name_ + "p") {
    const std::string n = std::to_string(queues), q = " numrxqueues " + n + " numtxqueues " + n,
                      m = " mtu " + std::to_string(mtu);
    made_ = [=, this] {
      return run("ip link add " + name_ + q + m + " type veth peer name " + peer_ + q + m) &&
             run("ip link set " + name_ + " up") && run("ip link set " + peer_ + " up");
    };
    ok = made_();
  }
  ~Veth() { remove(); }
  void remove() { run("ip link del " + name_); }
  void make_again() { ok = made_(); }
  const std::string& name() const { return name_; }
  const std::string& peer() const { return peer_; }
  bool ok = false;

 private:
  std::string name_, peer_;
  std::function<bool()> made_;
};

// The station at the far end: whole frames in and out.
class Station {
 public:
  explicit Station(const std::string& device) {
    fd_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    sockaddr_ll a{};
    a.sll_family = AF_PACKET;
    a.sll_protocol = htons(ETH_P_ALL);
    a.sll_ifindex = static_cast<int>(if_nametoindex(device.c_str()));
    const int on = 1;
    setsockopt(fd_, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    const int room = 64 << 20;
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    ok = bind(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
  }
  ~Station() { close(fd_); }
  bool send(const std::vector<uint8_t>& frame) {
    return ::send(fd_, frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
  }
  // The next frame; empty after `ms` without one.
  std::vector<uint8_t> receive(int ms = 5000) {
    pollfd p{fd_, POLLIN, 0};
    if (poll(&p, 1, ms) <= 0) return {};
    std::vector<uint8_t> frame(65536);
    const ssize_t n = recv(fd_, frame.data(), frame.size(), 0);
    frame.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return frame;
  }
  bool ok = false;

 private:
  int fd_ = -1;
};

}  // namespace sluice::test
