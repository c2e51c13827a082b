// The little of netlink that port/ needs: building a request, sending it, walking the attributes of the
// answers.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace sluice::port {

// One netlink request: header, fixed part, attributes.
template <class Body>
struct Request {
  nlmsghdr header{};
  Body body{};
  std::array<char, 64> attributes{};

  Request(uint16_t type, uint16_t flags) {
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | flags);
    header.nlmsg_len = NLMSG_LENGTH(sizeof(Body));
  }
  void add(uint16_t type, const void* data, size_t size) {
    const size_t at = NLMSG_ALIGN(header.nlmsg_len) - sizeof header - sizeof body;
    rtattr a{static_cast<uint16_t>(RTA_LENGTH(size)), type};
    std::memcpy(attributes.data() + at, &a, sizeof a);
    std::memcpy(attributes.data() + at + sizeof a, data, size);
    header.nlmsg_len = static_cast<uint32_t>(NLMSG_ALIGN(header.nlmsg_len) + RTA_LENGTH(size));
  }
};

// Calls each(type, data, size) for the attributes behind a message's fixed part, or inside a nest.
template <class Each>
void attributes(const char* p, size_t left, const Each& each) {
  while (left >= sizeof(rtattr)) {
    rtattr a;
    std::memcpy(&a, p, sizeof a);
    if (a.rta_len < sizeof a || a.rta_len > left) return;
    each(static_cast<uint16_t>(a.rta_type & NLA_TYPE_MASK), p + sizeof a, a.rta_len - sizeof a);
    const size_t step = std::min<size_t>(RTA_ALIGN(a.rta_len), left);
    p += step;
    left -= step;
  }
}

template <class T>
T value(const char* data, size_t size) {
  T v{};
  std::memcpy(&v, data, std::min(size, sizeof v));
  return v;
}

// Sends one request and calls each(type, body, size) for every answer. false: the kernel refused, see errno.
template <class Body, class Each>
bool netlink_request(int fd, uint32_t sequence, Request<Body>& r, const Each& each) {
  r.header.nlmsg_seq = sequence;
  const bool dump = (r.header.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
  if (send(fd, &r, r.header.nlmsg_len, 0) < 0) return false;
  alignas(nlmsghdr) static thread_local char buffer[65536];
  for (;;) {
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    const char* p = buffer;
    for (size_t left = static_cast<size_t>(got); left >= sizeof(nlmsghdr);) {
      const auto h = value<nlmsghdr>(p, left);
      if (h.nlmsg_len < sizeof h || h.nlmsg_len > left) return false;
      if (h.nlmsg_seq == sequence) {  // else: what is left of an earlier answer
        if (h.nlmsg_type == NLMSG_DONE) return true;
        const size_t body = h.nlmsg_len - NLMSG_HDRLEN;
        if (h.nlmsg_type == NLMSG_ERROR) {
          errno = -value<nlmsgerr>(p + NLMSG_HDRLEN, body).error;
          return errno == 0;
        }
        each(h.nlmsg_type, p + NLMSG_HDRLEN, body);
        if (!dump) return true;
      }
      const size_t step = std::min<size_t>(NLMSG_ALIGN(h.nlmsg_len), left);
      p += step;
      left -= step;
    }
  }
}

}  // namespace sluice::port
