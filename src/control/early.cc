#include "control/early.h"

#include <algorithm>

namespace sluice::control {
namespace {

constexpr int64_t kOnTheWay = 64;  // frames between program and socket: the budget of one NAPI poll, of each queue

}  // namespace

const char* class_name(sluice_class c) {
  switch (c) {
    case SLUICE_CLASS_CONTROL: return "control";
    case SLUICE_CLASS_ESTABLISHED: return "established";
    case SLUICE_CLASS_NEW: return "new";
    case SLUICE_CLASS_REST: return "rest";
    case SLUICE_CLASSES: break;
  }
  return "";
}

const char* outcome_name(sluice_outcome o) {
  static const char* const names[] = {"passed", "kernel", "shared", "unbound", "answered",
#define SLUICE_NAME(name) #name,
                                      SLUICE_EARLY_DROPS(SLUICE_NAME)
#undef SLUICE_NAME
  };
  static_assert(std::size(names) == SLUICE_OUTCOMES);
  return o < SLUICE_OUTCOMES ? names[o] : "";
}

bool is_drop(sluice_outcome o) { return o > SLUICE_OUT_ANSWERED && o < SLUICE_OUTCOMES; }

std::string level_text(uint32_t level) {
  static const char* const bands[] = {"of the rest", "of new flows", "of established flows"};
  static const char* const gone[] = {"", "the rest, ", "the rest, new flows, "};
  if (level == 0) return "nothing";
  if (level == SLUICE_LEVEL_LOOK) return "nothing but by rates";
  const uint32_t at_most = std::min<uint32_t>(level, SLUICE_LEVEL_MAX) - 1;
  const uint32_t band = at_most / SLUICE_BAND, share = at_most % SLUICE_BAND + 1;
  if (share == SLUICE_BAND && band < 2) return band == 0 ? "the rest" : "the rest, new flows";
  const uint32_t percent = std::min<uint32_t>(share * 100 / SLUICE_BAND, 99);
  return gone[band] + (percent ? std::to_string(percent) + "% " : "less than 1% ") + bands[band];
}

void add_counts(std::vector<port::EarlyCount>& to, const std::vector<port::EarlyCount>& more) {
  for (const port::EarlyCount& e : more) {
    auto same = std::find_if(to.begin(), to.end(), [&](const port::EarlyCount& x) { return x.outcome == e.outcome && x.cls == e.cls; });
    if (same == to.end()) to.push_back(e);
    else same->frames += e.frames;
  }
}

unsigned waiting_in(port::Port& p) {
  unsigned n = 0;
  for (unsigned q = 0; q < p.info().rx_queues; q++) n += p.rx_waiting(q).used;
  return n;
}

bool EarlyRow::closed() const {
  const auto moved = static_cast<int64_t>(handed_up - handed_up_before);
  const bool program = seen == dropped + answered + kernel + handed_up;
  if (faulty) return program;
  return program && under_way() >= 0 && under_way() <= moved + kOnTheWay * queues;
}

EarlyRow early_row(port::Port& p, const port::Stats& before, uint64_t received) {
  EarlyRow r;
  r.port = p.info().name;
  r.queues = p.info().rx_queues;
  r.received = received;
  r.waiting = waiting_in(p);
  const port::Stats now = p.stats();
  r.handed_up_before = before.handed_up;
  r.seen = now.early_seen;
  r.dropped = now.early_dropped;
  r.answered = now.answered;
  r.kernel = now.kernel_passed;
  r.handed_up = now.handed_up;
  r.missed_in_socket = now.missed_in_socket;
  r.missed_by_device = now.missed;
  r.faulty = std::any_of(now.extended.begin(), now.extended.end(), [](const auto& x) { return x.first == "fault_lost_in"; });
  return r;
}

}  // namespace sluice::control
