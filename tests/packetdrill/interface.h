// The function table that packetdrill's --so_filename mode asks a shared object for: it calls the exported function
// packetdrill_interface_init(flags, table) once, and then table's functions, `user` first. Written from the facts of
// the calling convention alone: the order of the members, and that each is the system call of its name with `user`
// in front. netdev_send and netdev_receive carry whole IP packets.
#pragma once

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

#include <cstddef>

namespace sluice::drill {

using User = void*;

struct Interface {
  User user;
  void (*free)(User);
  int (*socket)(User, int domain, int type, int protocol);
  int (*bind)(User, int fd, const sockaddr*, socklen_t);
  int (*listen)(User, int fd, int backlog);
  int (*accept)(User, int fd, sockaddr*, socklen_t*);
  int (*connect)(User, int fd, const sockaddr*, socklen_t);
  ssize_t (*read)(User, int fd, void*, size_t);
  ssize_t (*readv)(User, int fd, const iovec*, int);
  ssize_t (*recv)(User, int fd, void*, size_t, int flags);
  ssize_t (*recvfrom)(User, int fd, void*, size_t, int flags, sockaddr*, socklen_t*);
  ssize_t (*recvmsg)(User, int fd, msghdr*, int flags);
  ssize_t (*write)(User, int fd, const void*, size_t);
  ssize_t (*writev)(User, int fd, const iovec*, int);
  ssize_t (*send)(User, int fd, const void*, size_t, int flags);
  ssize_t (*sendto)(User, int fd, const void*, size_t, int flags, const sockaddr*, socklen_t);
  ssize_t (*sendmsg)(User, int fd, const msghdr*, int flags);
  int (*fcntl)(User, int fd, int command, ...);
  int (*ioctl)(User, int fd, unsigned long request, ...);
  int (*close)(User, int fd);
  int (*shutdown)(User, int fd, int how);
  int (*getsockopt)(User, int fd, int level, int name, void*, socklen_t*);
  int (*setsockopt)(User, int fd, int level, int name, const void*, socklen_t);
  int (*poll)(User, pollfd*, nfds_t, int timeout_ms);
  int (*netdev_send)(User, const void* packet, size_t);                       // into the stack under test
  int (*netdev_receive)(User, void* packet, size_t* length, long long* usec);  // the next one out of it; length 0: none
  int (*usleep)(User, useconds_t);
  int (*gettimeofday)(User, timeval*, struct timezone*);
  int (*epoll_create)(User, int size);
  int (*epoll_ctl)(User, int epfd, int op, int fd, epoll_event*);
  int (*epoll_wait)(User, int epfd, epoll_event*, int most, int timeout_ms);
  int (*pipe)(User, int fds[2]);
  ssize_t (*splice)(User, int in, loff_t*, int out, loff_t*, size_t, unsigned flags);
};

}  // namespace sluice::drill
