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

Relay splice_data(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to, bool ready,
                  const app::Event& e) {
  if (ready && s.waiting.empty()) {
    const app::Slice slice{e.bytes, e.length, e.buffer, nullptr};
    const Outcome o = api.send(to, {&slice, 1});
    if (o == Outcome::ok) return Relay::ok;
    if (o != Outcome::full) {  // `to` has gone; its own event says so
      api.free_buffer(e.buffer);
      return Relay::ok;
    }
  }
  if (!s.waiting.push(pool, e)) {
    api.free_buffer(e.buffer);
    return Relay::broken;
  }
  if (!s.paused) api.pause(from);
  s.paused = true;
  return Relay::waiting;
}

uint32_t splice_sent(app::Api& api, Splice& s, app::Conn from, uint32_t length) {
  const uint32_t own = std::min(s.prefix, length);
  s.prefix -= own;
  if (length > own) api.done(from, nullptr, length - own);
  return length - own;
}

Relay splice_more(app::Api& api, WaitingPool& pool, Splice& s, app::Conn from, app::Conn to) {
  while (!s.waiting.empty()) {
    Waiting& w = pool[s.waiting.first];
    const app::Slice slice{w.bytes, w.length, w.buffer, nullptr};
    const Outcome o = api.send(to, {&slice, 1});
    if (o == Outcome::full) return Relay::waiting;
    if (o != Outcome::ok) api.free_buffer(w.buffer);
    s.waiting.pop(pool);
  }
  if (s.paused) api.resume(from);
  s.paused = false;
  if (s.eof && !s.shut) {
    api.shutdown(to);
    s.shut = true;
  }
  return Relay::ok;
}

}  // namespace sluice::apps
