// HTTP/1.1 (RFC 9112, RFC 9110): a fixed body, files from memory, /metrics and /healthz. GET, HEAD and OPTIONS.
//
// Theory of operation. A request's bytes decide its answer, so an answer is decided once and replayed: heads that
// were read, and whose answer is a prepared response, are remembered byte by byte, and the next request that begins
// with the same bytes is one comparison (http_memo.h). Others go through the parser, in place; only a request that
// does not end in its buffer is copied, and that is its parsed state rather than its bytes. Answers to what came in
// one buffer leave in one send(). An answer that does not fit the send buffer is sent piece by piece as room comes;
// meanwhile the connection is paused and what has already come waits.
//
// A connection ends by a FIN behind the last answer; what the peer still sends is thrown away until its own FIN or
// the linger time, so that no reset destroys the answer on its way (RFC 9112 9.6). A client that asked for the end
// has said that it sends no more: if it does, it gets a reset.
//
// Time-outs: a request has to be complete within request_timeout of its first byte (408), the next has to begin
// within keepalive_timeout (the connection is closed), and what is sent must be acknowledged bit by bit
// (send_timeout, reset).
#pragma once

#include <array>
#include <memory>

#include "apps/http_content.h"
#include "apps/http_memo.h"
#include "apps/http_page.h"
#include "apps/http_request.h"
#include "apps/service.h"
#include "apps/splice.h"

namespace sluice::apps {

// Bytes to be sent; while there are any, their keeper is counted once for them.
struct HttpPiece {
  const uint8_t* bytes = nullptr;
  uint32_t n = 0;
  Counted* keeper = nullptr;
};

// An answer on its way to send(): the beginning, and what follows.
struct HttpReply {
  std::array<HttpPiece, 2> piece;
  uint16_t status = 0;
  bool last = false;                  // the connection ends behind it
  bool asked = false;                 // … because the client wants it to, and will send no more

  uint64_t length() const { return uint64_t{piece[0].n} + piece[1].n; }
};

struct HttpConnection {
  app::Conn conn;
  WaitingQueue input;                 // came while an answer was being sent
  uint32_t request = kNone;           // one that has begun in an earlier buffer
  HttpReply reply;                    // what is left of the answer under way
  uint64_t in_flight = 0;             // bytes
  int64_t request_began = 0, progress = 0;
  uint16_t memo = 0;                  // where its last request was remembered
  bool paused = false, eof = false, ending = false;  // ending: the FIN is sent, input is thrown away
  bool asked = false;                 // ending as the client wished: input is refused with a reset
};

class Http final : public PooledService<HttpConnection> {
 public:
  static constexpr Duration kLinger = Duration::seconds(5);

  Http(const ServiceConfig& c, uint16_t number, EventLog* log, std::shared_ptr<const HttpContent> content,
       std::shared_ptr<HttpPages> pages);

  bool finished() const override { return PooledService::finished() && leads_.idle() && blocks_.idle(); }

 private:
  using Bytes = std::span<const uint8_t>;
  // Answers that leave together, each with where the input stands behind its request.
  struct Gathered {
    static constexpr unsigned kMost = 16;
    std::array<HttpReply, kMost> reply;
    std::array<size_t, kMost> end;
    unsigned n = 0;
    uint64_t bytes = 0;
    uint32_t room = 0;
  };
  // What one buffer's bytes led to.
  struct Reading {
    Bytes bytes;
    Gathered& out;
    size_t at = 0;
    bool stop = false;     // an answer waits, or was the last: read no further
  };

  void accepted(app::Api& api, uint32_t i, const app::Event& e) override;
  void event(app::Api& api, uint32_t i, const app::Event& e) override;
  void timeout(app::Api& api, uint32_t i) override;
  void drain_begins(app::Api&) override { memo_.drop_blocks(); }
  void drain_connection(app::Api& api, uint32_t i) override;
  void released(app::Api& api, uint32_t i) override;

  void data(app::Api& api, uint32_t i, const app::Event& e);
  size_t consume(app::Api& api, uint32_t i, Bytes bytes);
  Reading reading(app::Api& api, const HttpConnection& c, Bytes bytes);
  void one_request(app::Api& api, uint32_t i, Reading& r);
  void answer(app::Api& api, uint32_t i, Reading& r, HttpRequest& q, Bytes whole);
  void gather(app::Api& api, uint32_t i, Reading& r, const HttpReply& reply);
  void flush(app::Api& api, uint32_t i, Reading& r);
  bool send(app::Api& api, HttpConnection& c, HttpReply& reply);
  void more(app::Api& api, uint32_t i);
  void end(app::Api& api, uint32_t i, bool asked = false);
  void rearm(app::Api& api, uint32_t i);
  void drop_request(HttpConnection& c);
  static void drop(const HttpReply& reply);
  void count(const HttpReply& r);
  void log(app::Api& api, const HttpConnection& c, unsigned status, std::string_view target);

  // `fixed` is set where the answer is a function of the request's bytes.
  HttpReply choose(HttpRequest& q, const Response*& fixed);
  HttpReply page(HttpRequest& q, HttpPage& p, bool last);
  HttpReply part(const Response& r, const HttpRange& range, bool last);
  HttpReply reply_of(const Response& r, bool head_only, bool last, Counted* keeper = nullptr);
  HttpReply again(HttpMemo::Entry& e);
  HttpReply bad(unsigned status, bool head_only) { return reply_of(content_->plain(status), head_only, true); }

  std::shared_ptr<const HttpContent> content_;
  std::shared_ptr<HttpPages> pages_;
  const HttpLimits limits_;
  int64_t second_ = 0;               // since 1970, of the turn
  HttpLeads leads_;
  HttpBlocks blocks_;
  HttpMemo memo_;
  Gathered gathered_;                // of the buffer that is being read, as slices_: too large to be made for each
  std::array<app::Slice, 2 * Gathered::kMost> slices_;
  HttpRequest request_;              // of what begins and ends in one buffer
  Pool<HttpRequest> requests_;       // of what does not
  WaitingPool waiting_;
};

}  // namespace sluice::apps
