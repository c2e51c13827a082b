#include "tests/sim/endpoint.h"

#include <cstring>

namespace sluice::sim {

using tcp::EventKind;
using tcp::Outcome;

void Endpoint::drop_held() {
  for (Held& h : held_) host_.buffers().free(h.m);
  held_.clear();
}

std::string Endpoint::progress() const {
  return "sent " + std::to_string(sent_) + "/" + std::to_string(plan_.send) + " (acknowledged " +
         std::to_string(acked_) + "), received " + std::to_string(received_) + "/" +
         std::to_string(plan_.receive) + (connected_ ? "" : ", not connected") +
         (shut_ ? ", shut down" : "") + (peer_closed_ ? ", peer closed" : "") + (done_ ? ", done" : "");
}

void Endpoint::opened(Instant now, tcp::ConnId id) {
  conn_ = id;
  if (plan_.keepalive) host_.stack().set_keepalive(now, id, true);
}

void Endpoint::on(Instant now, const tcp::Event& e) {
  if (done_) fail("an event after the end");
  switch (e.kind) {
    case EventKind::accepted:
    case EventKind::connected:
      if (connected_) fail("opened twice");
      connected_ = true;
      break;
    case EventKind::data:
      data(now, e);
      break;
    case EventKind::sent:
      acked_ += e.bytes;
      if (acked_ > sent_) fail("more is told to be acknowledged than was sent");
      break;
    case EventKind::peer_closed:
      if (peer_closed_) fail("the peer's end is told twice");
      peer_closed_ = true;
      if (received_ != plan_.receive && !plan_.may_fail)
        fail("the peer's end came after " + std::to_string(received_) + " bytes of " +
             std::to_string(plan_.receive));
      break;
    case EventKind::closed:
      done_ = true;
      if (!plan_.may_fail && (received_ != plan_.receive || sent_ != plan_.send || acked_ != sent_))
        fail("closed before all was done: " + progress());
      break;
    case EventKind::failed:
      done_ = true;
      if (!plan_.may_fail) fail(std::string("failed: ") + tcp::to_string(e.failure) + "; " + progress());
      break;
  }
}

void Endpoint::data(Instant now, const tcp::Event& e) {
  if (peer_closed_) fail("data after the peer's end");
  if (!connected_) fail("data before the connection");
  const uint8_t* bytes = rte_pktmbuf_mtod_offset(e.m, const uint8_t*, e.offset);
  if (e.length == 0 || e.offset + e.length > e.m->data_len)
    fail("a data event that points out of its mbuf");
  else if (uint32_t same = in_.matches(received_, bytes, e.length); same != e.length)
    fail("wrong byte at " + std::to_string(received_ + same) + " of the stream");
  received_ += e.length;
  if (received_ > plan_.receive) fail("more received than the peer sends");
  held_.push_back({e.m, e.length});
  if (plan_.read == Plan::Read::slowly) next_read_ = std::max(next_read_, now);
}

void Endpoint::read_some(Instant now, uint32_t bytes) {
  while (!held_.empty() && bytes) {
    Held& h = held_.front();
    uint32_t part = std::min(bytes, h.bytes);
    bytes -= part;
    h.bytes -= part;
    if (h.bytes == 0) {
      host_.buffers().free(h.m);
      held_.pop_front();
    }
    if (!done_ && host_.stack().receive_done(now, conn_, part) != Outcome::ok)
      fail("receive_done is refused");
  }
}

void Endpoint::read(Instant now) {
  switch (plan_.read) {
    case Plan::Read::at_once:
      read_some(now, UINT32_MAX);
      break;
    case Plan::Read::slowly:
      if (now >= next_read_) {
        read_some(now, plan_.read_bytes);
        next_read_ = now + plan_.read_every;
      }
      if (!held_.empty()) wake_at(next_read_);
      break;
    case Plan::Read::in_pauses:
      read_some(now, UINT32_MAX);
      if (peer_closed_ || now < next_read_) break;
      if (Outcome o = paused_ ? host_.stack().resume(now, conn_) : host_.stack().pause(conn_);
          o != Outcome::ok)
        fail("pause or resume is refused");
      paused_ = !paused_;
      next_read_ = now + plan_.read_every;
      break;
  }
  if (plan_.read == Plan::Read::in_pauses && !peer_closed_) wake_at(next_read_);
}

uint64_t Endpoint::may_send() const {
  if (plan_.per == 0 && plan_.first == 0) return plan_.send;
  return std::min(plan_.send, plan_.first + (plan_.per ? received_ / plan_.per * plan_.reply : 0));
}

bool Endpoint::send_piece(Instant now, uint32_t n) {
  tcp::Slice s{.data = out_.at(sent_), .length = n};
  if (plan_.bytes == Plan::Bytes::mbuf) {
    s.length = n = std::min<uint32_t>(n, 1400);
    rte_mbuf* m = host_.buffers().make();
    if (!m) {
      wake_at(now + Duration::millis(10));
      return false;
    }
    auto* to = reinterpret_cast<uint8_t*>(rte_pktmbuf_append(m, static_cast<uint16_t>(n)));
    std::memcpy(to, out_.at(sent_), n);
    s.data = to;
    s.m = m;
  } else if (plan_.bytes == Plan::Bytes::keeper) {
    s.keeper = this;
    keepers_++;
  }
  Outcome o = host_.stack().send(now, conn_, {&s, 1});
  if (o == Outcome::ok) {
    sent_ += n;
    return true;
  }
  if (s.m) host_.buffers().free(s.m);
  if (s.keeper) keepers_--;
  if (o != Outcome::full) fail(std::string("send is refused: ") + tcp::to_string(o));
  return false;
}

void Endpoint::send(Instant now) {
  if (shut_ || !connected_) return;
  while (sent_ < may_send()) {
    if (now < next_send_) return wake_at(next_send_);
    uint32_t room = host_.stack().send_room(conn_);
    uint32_t n = static_cast<uint32_t>(std::min<uint64_t>({plan_.piece, room, may_send() - sent_}));
    if (n == 0 || !send_piece(now, n)) return;
    if (plan_.send_gap.ns) next_send_ = now + plan_.send_gap;
  }
}

void Endpoint::end(Instant now) {
  tcp::Stack& stack = host_.stack();
  if (plan_.end == Plan::End::abort) {
    if (connected_ && received_ >= plan_.abort_at) {
      drop_held();
      if (stack.abort(now, conn_) != Outcome::ok) fail("abort is refused");
      done_ = true;
    }
    return;
  }
  if (sent_ != plan_.send || shut_ || !connected_) return;
  if (plan_.end != Plan::End::shut_down && !(peer_closed_ && held_.empty())) return;
  Outcome o = plan_.end == Plan::End::close ? stack.close(now, conn_) : stack.shutdown(now, conn_);
  if (o != Outcome::ok) fail(std::string("the end is refused: ") + tcp::to_string(o));
  shut_ = true;
  if (plan_.end == Plan::End::close) done_ = true;
}

void Endpoint::act(Instant now) {
  wake_ = Instant::never();
  if (conn_.none()) return;
  if (done_) return read_some(now, UINT32_MAX);
  read(now);
  send(now);
  end(now);
}

}  // namespace sluice::sim
