// Early drop's numbers: names of classes, outcomes and levels, counts of several queues as one, and the law that closes the
// accounts down to a port's program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "port/port.h"

namespace sluice::control {

const char* class_name(sluice_class c);      // control, established, new, rest
const char* outcome_name(sluice_outcome o);  // redirected, kernel, …; drops by their names in bpf/maps.h
bool is_drop(sluice_outcome o);
std::string level_text(uint32_t level);      // what is shed at this level, in words

void add_counts(std::vector<port::EarlyCount>& to, const std::vector<port::EarlyCount>& more);
unsigned waiting_in(port::Port& p);          // frames in the sockets of all its queues

// What a port's program has seen is dropped, answered, left to the kernel or handed up; what it has handed up is what the
// workers received, what the socket had no room for, and what waits in it. The program goes on while the books are read: it
// had handed up `handed_up_before` when reading began and `handed_up` when it ended, and what the workers have is between
// the two, less what is on its way from the program to the socket.
struct EarlyRow {
  std::string port;
  uint64_t seen = 0, dropped = 0, answered = 0, kernel = 0, handed_up_before = 0, handed_up = 0;
  uint64_t received = 0, missed_in_socket = 0, waiting = 0;
  uint64_t missed_by_device = 0;  // before the program: netdev rx_dropped
  unsigned queues = 1;
  bool faulty = false;            // `fault:` loses, doubles and delays in between: what arrives says nothing

  uint64_t arrived() const { return received + missed_in_socket + waiting; }
  int64_t under_way() const { return static_cast<int64_t>(handed_up) - static_cast<int64_t>(arrived()); }
  bool closed() const;
};
EarlyRow early_row(port::Port& p, const port::Stats& before, uint64_t received);

}  // namespace sluice::control
