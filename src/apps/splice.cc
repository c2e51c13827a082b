#include "apps/splice.h"

#include <algorithm>

namespace sluice::apps {

using app::Outcome;

bool WaitingQueue::push(WaitingPool& pool, const app::Event& e) {
  const uint32_t i = pool.take();
  if (i == kNone) return false;
  pool[i] = {e.buffer, e.bytes, e.length, kNone};
  if (first == kNone) first = i;
  else pool[last].next = i;
  last = i;
  return true;
}

void WaitingQueue::pop(WaitingPool& pool) {
  const uint32_t i = first;
  first = pool[i].next;
  if (first == kNone) last = kNone;
  pool.give(i);
}

void WaitingQueue::free_all(app::Api& api, WaitingPool& pool) {
  while (!empty()) {
    if (pool[first].buffer) api.free_buffer(pool[first].buffer);
    pop(pool);
  }
}

namespace {

// Anything but ok and full: the destination has gone, as its own event says, and the bytes with it.
Outcome pass_on(app::Api& api, Splice& s, app::Conn to, const app::Slice& slice) {
  const Outcome o = api.send(to, {&slice, 1});
  if (o == Outcome::ok) s.in_flight += slice.length;
  else if (o != Outcome::full) api.free_buffer(slice.buffer);
  return o;
}

}  // namespace

bool splice_data(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to, bool ready,
                 const app::Event& e) {
  if (ready && s.waiting.empty() && pass_on(api, s, to, {e.bytes, e.length, e.buffer, nullptr}) != Outcome::full)
    return true;
  if (!s.waiting.push(pool, e)) {
    api.free_buffer(e.buffer);
    return false;
  }
  if (!s.paused) api.pause(from);
  s.paused = true;
  return true;
}

uint32_t splice_sent(app::Api& api, Splice& s, app::Conn from, uint32_t length) {
  const uint32_t own = std::min(s.prefix, length);
  s.prefix -= own;
  s.in_flight -= length;
  if (length > own) api.done(from, nullptr, length - own);
  return length - own;
}

void splice_more(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to) {
  while (!s.waiting.empty()) {
    const Waiting& w = pool[s.waiting.first];
    if (pass_on(api, s, to, {w.bytes, w.length, w.buffer, nullptr}) == Outcome::full) return;
    s.waiting.pop(pool);
  }
  if (s.paused) api.resume(from);
  s.paused = false;
  if (s.eof && !s.shut) {
    api.shutdown(to);
    s.shut = true;
  }
}

}  // namespace sluice::apps
