#include "port/pcapng_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::port {

namespace {

constexpr size_t kBuffer = 256u << 10;
constexpr uint16_t kOptComment = 1, kOptAppl = 4, kOptIfName = 2, kOptTsResol = 9, kOptEpbFlags = 2;

}  // namespace

Result<std::unique_ptr<PcapngWriter>> PcapngWriter::create(const std::string& path) {
  std::unique_ptr<PcapngWriter> self(new PcapngWriter);
  self->path_ = path;
  self->fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (self->fd_ < 0) return Error{"cannot write the capture " + path + ": " + strerror(errno)};
  self->buffer_.reserve(kBuffer + 4096);
  self->begin_block(0x0a0d0d0a);
  self->put32(0x1a2b3c4d);
  self->put16(1);
  self->put16(0);
  self->put32(0xffffffff);  // section length, 64 bits of -1: not given
  self->put32(0xffffffff);
  self->option(kOptAppl, "sluice", 6);
  self->option(0, nullptr, 0);
  self->end_block();
  if (Status s = self->flush(); !s) return Error{s.error()};  // a full disk shows now, not after the run
  return self;
}

PcapngWriter::~PcapngWriter() {
  (void)close();
}

unsigned PcapngWriter::add_interface(std::string_view name) {
  begin_block(1);
  put16(1);  // LINKTYPE_ETHERNET
  put16(0);
  put32(0);  // no limit to a frame's captured length
  option(kOptIfName, name.data(), name.size());
  const uint8_t nanoseconds = 9;
  option(kOptTsResol, &nanoseconds, 1);
  option(0, nullptr, 0);
  end_block();
  return interfaces_++;
}

bool PcapngWriter::frame(unsigned interface, Instant time, Direction d, wire::ConstBytes bytes,
                         std::string_view comment) {
  auto length = static_cast<uint32_t>(bytes.size());
  if (!begin_frame(interface, time, length, comment)) return false;
  put(bytes.data(), bytes.size());
  end_frame(d, comment);
  return true;
}

bool PcapngWriter::frame(unsigned interface, Instant time, Direction d, const rte_mbuf* m,
                         std::string_view comment) {
  if (!begin_frame(interface, time, m->pkt_len, comment)) return false;
  for (const rte_mbuf* s = m; s; s = s->next) put(rte_pktmbuf_mtod(s, const uint8_t*), s->data_len);
  end_frame(d, comment);
  return true;
}

bool PcapngWriter::begin_frame(unsigned interface, Instant time, uint32_t length, std::string_view comment) {
  if (buffer_.size() + length + comment.size() + 64 > kBuffer) (void)flush();
  if (!status_ || fd_ < 0) {
    lost_++;
    return false;
  }
  begin_block(6);
  put32(interface);
  put32(static_cast<uint32_t>(static_cast<uint64_t>(time.ns) >> 32));
  put32(static_cast<uint32_t>(time.ns));
  put32(length);
  put32(length);
  return true;
}

void PcapngWriter::end_frame(Direction d, std::string_view comment) {
  pad();
  if (!comment.empty()) option(kOptComment, comment.data(), comment.size());
  const auto flags = static_cast<uint32_t>(d);
  if (d != Direction::unknown) option(kOptEpbFlags, &flags, 4);
  if (d != Direction::unknown || !comment.empty()) option(0, nullptr, 0);
  end_block();
}

Status PcapngWriter::flush() {
  if (!status_ || fd_ < 0) return status_;
  size_t done = 0;
  while (done < buffer_.size()) {
    ssize_t n = write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      status_ = Error{"cannot write to the capture " + path_ + ": " + strerror(n < 0 ? errno : ENOSPC) +
                      "; it ends here"};
      // A reader must not meet half a block. Not possible on a pipe, and then of no use either.
      if (done > 0 && ftruncate(fd_, static_cast<off_t>(written_)) == 0) done = 0;
      break;
    }
    done += static_cast<size_t>(n);
  }
  if (status_) written_ += done;
  buffer_.clear();
  return status_;
}

Status PcapngWriter::close() {
  if (fd_ < 0) return status_;
  (void)flush();
  if (::close(fd_) != 0 && status_)
    status_ =
        Error{"cannot write to the capture " + path_ + ": " + strerror(errno) + "; its end may be missing"};
  fd_ = -1;
  return status_;
}

void PcapngWriter::put16(uint16_t v) {
  put(&v, 2);
}
void PcapngWriter::put32(uint32_t v) {
  put(&v, 4);
}

void PcapngWriter::put(const void* p, size_t n) {
  auto* b = static_cast<const uint8_t*>(p);
  buffer_.insert(buffer_.end(), b, b + n);
}

void PcapngWriter::pad() {
  while ((buffer_.size() - block_) % 4 != 0) buffer_.push_back(0);
}

void PcapngWriter::option(uint16_t code, const void* p, size_t n) {
  n = std::min<size_t>(n, 0xffff);
  put16(code);
  put16(static_cast<uint16_t>(n));
  if (n > 0) put(p, n);
  pad();
}

void PcapngWriter::begin_block(uint32_t type) {
  block_ = buffer_.size();
  put32(type);
  put32(0);  // filled in by end_block
}

void PcapngWriter::end_block() {
  auto length = static_cast<uint32_t>(buffer_.size() - block_ + 4);
  std::memcpy(buffer_.data() + block_ + 4, &length, 4);
  put32(length);
}

}  // namespace sluice::port
