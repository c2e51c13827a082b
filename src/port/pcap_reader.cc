#include "port/pcap_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::port {

namespace {

constexpr uint32_t kMicros = 0xa1b2c3d4, kNanos = 0xa1b23c4d, kKuznetzov = 0xa1b2cd34;
constexpr uint32_t kSection = 0x0a0d0d0a, kByteOrder = 0x1a2b3c4d;
constexpr uint32_t kInterfaceBlock = 1, kObsoletePacket = 2, kSimplePacket = 3, kEnhancedPacket = 6;
constexpr uint16_t kOptEnd = 0, kOptTsResol = 9, kOptFcsLen = 13, kOptTsOffset = 14, kOptEpbFlags = 2;
constexpr size_t kLargestFrame = 1u << 20;   // libpcap writes 256 KiB at most; USB captures reach further
constexpr size_t kLargestBlock = 16u << 20;  // longer ones are skipped unread where they hold no packet
constexpr size_t kMaxInterfaces = 65536;
constexpr size_t kBuffer = 256u << 10;

// value * 1e9 / per_second without overflow, clamped to what an Instant holds.
Instant to_instant(uint64_t ticks, uint64_t per_second, int64_t offset_seconds) {
  __int128 ns = static_cast<__int128>(ticks / per_second) * 1000'000'000 +
                static_cast<__int128>(ticks % per_second) * 1000'000'000 / per_second +
                static_cast<__int128>(offset_seconds) * 1000'000'000;
  // never() means "no event"; a frame is never that late.
  constexpr __int128 latest = INT64_MAX / 2;
  return {static_cast<int64_t>(std::clamp<__int128>(ns, 0, latest))};
}

uint64_t resolution(uint8_t v) {
  if (v & 0x80) return uint64_t{1} << std::min(v & 0x7f, 63);
  uint64_t r = 1;
  for (unsigned i = 0; i < std::min<unsigned>(v, 19); i++) r *= 10;
  return r;
}

size_t padded(size_t n) {
  return (n + 3) & ~size_t{3};
}

}  // namespace

PcapReader::~PcapReader() {
  if (fd_ >= 0) close(fd_);
}

uint16_t PcapReader::u16(wire::ConstBytes b, size_t at) const {
  uint16_t v;
  std::memcpy(&v, b.data() + at, 2);
  return swapped_ ? byte_swapped(v) : v;
}

uint32_t PcapReader::u32(wire::ConstBytes b, size_t at) const {
  uint32_t v;
  std::memcpy(&v, b.data() + at, 4);
  return swapped_ ? byte_swapped(v) : v;
}

size_t PcapReader::need(size_t n) {
  if (end_ - cursor_ >= n || fd_ < 0) return std::min(n, end_ - cursor_);
  std::memmove(buffer_.data(), buffer_.data() + cursor_, end_ - cursor_);
  end_ -= cursor_;
  cursor_ = 0;
  if (buffer_.size() < n) buffer_.resize(n);
  data_ = buffer_.data();
  while (end_ < n) {
    ssize_t got = read(fd_, buffer_.data() + end_, buffer_.size() - end_);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;  // a read error ends the file here: reported as one that is cut short
    end_ += static_cast<size_t>(got);
  }
  return std::min(n, end_);
}

void PcapReader::skip(size_t n) {
  while (n > 0) {
    size_t step = need(std::min(n, kBuffer));
    if (step == 0) return;
    cursor_ += step;
    position_ += step;
    n -= step;
  }
}

Result<std::unique_ptr<PcapReader>> PcapReader::open(const std::string& path) {
  std::unique_ptr<PcapReader> self(new PcapReader);
  self->name_ = path;
  self->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (self->fd_ < 0) return Error{"cannot open the capture " + path + ": " + strerror(errno)};
  struct stat st {};
  if (fstat(self->fd_, &st) == 0 && S_ISDIR(st.st_mode))
    return Error{path + " is a directory, not a capture"};
  self->buffer_.resize(kBuffer);
  self->data_ = self->buffer_.data();
  if (Status s = self->read_head(); !s) return Error{s.error()};
  return self;
}

Result<std::unique_ptr<PcapReader>> PcapReader::from_bytes(wire::ConstBytes bytes, const std::string& name) {
  std::unique_ptr<PcapReader> self(new PcapReader);
  self->name_ = name;
  self->data_ = bytes.data();
  self->end_ = bytes.size();
  if (Status s = self->read_head(); !s) return Error{s.error()};
  return self;
}

Status PcapReader::read_head() {
  if (need(4) < 4) return Error{name_ + " is shorter than a capture's header: it is empty or cut off"};
  uint32_t magic = u32(look(4), 0);
  if (magic == kSection) {
    classic_ = false;
    return read_section_head();
  }
  for (uint32_t known : {kMicros, kNanos, kKuznetzov}) {
    if (magic == known) return read_classic_head();
    if (magic == byte_swapped(known)) {
      swapped_ = true;
      return read_classic_head();
    }
  }
  return Error{
      name_ + " is neither a pcap nor a pcapng file: its first four bytes match no known format" +
      (magic == 0x04034b50 || (magic & 0xffff) == 0x8b1f ? " (it looks compressed: unpack it first)" : "")};
}

Status PcapReader::read_classic_head() {
  if (need(24) < 24) return Error{name_ + " ends in the middle of the pcap file header"};
  auto b = look(24);
  uint32_t magic = u32(b, 0);
  if (u16(b, 4) != 2)
    return Error{name_ + " has pcap version " + std::to_string(u16(b, 4)) + "." + std::to_string(u16(b, 6)) +
                 "; sluice reads version 2"};
  Interface i;
  i.snap = u32(b, 16);
  uint32_t link = u32(b, 20);
  i.link_type = link & 0xffff;
  if (link & 0x04000000) i.fcs = (link >> 28) * 2;
  i.ticks_per_second = magic == kNanos ? 1000'000'000 : 1000'000;
  record_head_ = magic == kKuznetzov ? 24 : 16;
  interfaces_.push_back(i);
  skip(24);
  return {};
}

// Only checks: the block itself is read as any other.
Status PcapReader::read_section_head() {
  if (need(28) < 28) return Error{name_ + " ends in the middle of the pcapng section header"};
  auto b = look(28);
  uint32_t order = u32(b, 8);
  if (order != kByteOrder && order != byte_swapped(kByteOrder))
    return Error{name_ + " has a pcapng section header without a byte-order mark"};
  if (order != kByteOrder) swapped_ = !swapped_;
  uint32_t length = u32(b, 4);
  if (length < 28 || length % 4 != 0 || length > kLargestBlock)
    return Error{name_ + " has a pcapng section header of an impossible length, " + std::to_string(length)};
  if (u16(b, 12) != 1)
    return Error{name_ + " has pcapng version " + std::to_string(u16(b, 12)) + "; sluice reads version 1"};
  return {};
}

PcapReader::Next PcapReader::broken(const std::string& what) {
  complaint_ =
      name_ + ": " + what + " at byte " + std::to_string(position_) + "; the rest of the capture is not read";
  return state_ = Next::broken;
}

PcapReader::Next PcapReader::next(Frame& out) {
  if (state_ != Next::frame) return state_;
  return classic_ ? next_classic(out) : next_block(out);
}

PcapReader::Next PcapReader::next_classic(Frame& out) {
  size_t there = need(record_head_);
  if (there == 0) return state_ = Next::end;
  if (there < record_head_) return broken("the file ends in the middle of a record header");
  auto head = look(record_head_);
  uint64_t seconds = u32(head, 0), fraction = u32(head, 4);
  uint32_t captured = u32(head, 8), original = u32(head, 12);
  if (captured > kLargestFrame) return broken("a record claims " + std::to_string(captured) + " bytes");
  if (need(record_head_ + captured) < record_head_ + captured)
    return broken("the file ends in the middle of a frame");
  const Interface& i = interfaces_.front();
  auto whole = look(record_head_ + captured);
  fill_frame(i, seconds * i.ticks_per_second + fraction, captured, original, whole.subspan(record_head_),
             i.fcs, out);
  cursor_ += record_head_ + captured;
  position_ += record_head_ + captured;
  return Next::frame;
}

PcapReader::Next PcapReader::next_block(Frame& out) {
  for (;;) {
    size_t there = need(8);
    if (there == 0) return state_ = Next::end;
    if (there < 8) return broken("the file ends in the middle of a block header");
    uint32_t type = u32(look(8), 0);
    if (type == kSection) {  // its byte order is its own
      if (Status s = read_section_head(); !s) return broken(s.error());
      interfaces_.clear();
    }
    uint32_t length = u32(look(8), 4);
    // Some writers give lengths that are no multiple of four; the block is padded all the same.
    if (length < 12) return broken("a block claims " + std::to_string(length) + " bytes");
    size_t total = padded(length);
    bool packet = type == kEnhancedPacket || type == kSimplePacket || type == kObsoletePacket;
    if (total > kLargestBlock) {
      if (packet || type == kInterfaceBlock)
        return broken("a block claims " + std::to_string(length) + " bytes");
      skip(total);
      continue;
    }
    if (need(total) < total) return broken("the file ends in the middle of a block");
    auto block = look(total);
    if (u32(block, total - 4) != length) return broken("a block's two lengths differ");
    block_bad_ = false;
    bool frame = take_block(type, block.subspan(8, total - 12), out);
    if (block_bad_) return broken("a malformed block of type " + std::to_string(type));
    cursor_ += total;
    position_ += total;
    if (frame) return Next::frame;
  }
}

bool PcapReader::take_block(uint32_t type, wire::ConstBytes body, Frame& out) {
  switch (type) {
    case kInterfaceBlock:
      add_interface(body);
      return false;
    case kEnhancedPacket:
      return take_enhanced(body, out);
    case kSimplePacket:
      return take_simple(body, out);
    case kObsoletePacket:
      return take_obsolete(body, out);
    default:
      return false;  // names, statistics, secrets, custom blocks: hold no frames
  }
}

void PcapReader::add_interface(wire::ConstBytes body) {
  if (body.size() < 8 || interfaces_.size() >= kMaxInterfaces) {
    block_bad_ = true;
    return;
  }
  Interface i;
  i.link_type = u16(body, 0);
  i.snap = u32(body, 4);
  for (size_t at = 8; body.size() - at >= 4;) {
    uint16_t code = u16(body, at);
    size_t length = u16(body, at + 2);
    at += 4;
    if (code == kOptEnd || length > body.size() - at) break;
    if (code == kOptTsResol && length >= 1) i.ticks_per_second = resolution(body[at]);
    if (code == kOptFcsLen && length >= 1) i.fcs = body[at] <= 8 ? body[at] : 0;
    if (code == kOptTsOffset && length >= 8) {
      uint64_t low = u32(body, at + (swapped_ ? 4 : 0)), high = u32(body, at + (swapped_ ? 0 : 4));
      i.offset_seconds = static_cast<int64_t>(high << 32 | low);
    }
    at += std::min(padded(length), body.size() - at);
  }
  interfaces_.push_back(i);
}

bool PcapReader::take_enhanced(wire::ConstBytes body, Frame& out) {
  if (body.size() < 20 || u32(body, 0) >= interfaces_.size() || u32(body, 12) > body.size() - 20) {
    block_bad_ = true;
    return false;
  }
  const Interface& i = interfaces_[u32(body, 0)];
  uint32_t captured = u32(body, 12);
  unsigned fcs = i.fcs;
  for (size_t at = 20 + padded(captured); at + 4 <= body.size();) {
    uint16_t code = u16(body, at);
    size_t length = u16(body, at + 2);
    at += 4;
    if (code == kOptEnd || length > body.size() - at) break;
    if (code == kOptEpbFlags && length == 4 && (u32(body, at) >> 5 & 0xf) != 0)
      fcs = u32(body, at) >> 5 & 0xf;
    at += padded(length);
  }
  uint64_t ticks = uint64_t{u32(body, 4)} << 32 | u32(body, 8);
  return fill_frame(i, ticks, captured, u32(body, 16), body.subspan(20), fcs, out);
}

bool PcapReader::take_simple(wire::ConstBytes body, Frame& out) {
  if (body.size() < 4 || interfaces_.empty()) {
    block_bad_ = true;
    return false;
  }
  const Interface& i = interfaces_.front();
  uint32_t original = u32(body, 0);
  uint32_t captured = i.snap ? std::min(original, i.snap) : original;
  if (captured > body.size() - 4) {
    block_bad_ = true;
    return false;
  }
  Instant before = last_;
  bool ok = fill_frame(i, 0, captured, original, body.subspan(4), i.fcs, out);
  out.time = last_ = before;
  return ok;
}

bool PcapReader::take_obsolete(wire::ConstBytes body, Frame& out) {
  if (body.size() < 20 || u16(body, 0) >= interfaces_.size() || u32(body, 12) > body.size() - 20) {
    block_bad_ = true;
    return false;
  }
  const Interface& i = interfaces_[u16(body, 0)];
  uint64_t ticks = uint64_t{u32(body, 4)} << 32 | u32(body, 8);
  return fill_frame(i, ticks, u32(body, 12), u32(body, 16), body.subspan(20), i.fcs, out);
}

bool PcapReader::fill_frame(const Interface& i, uint64_t ticks, uint32_t captured, uint32_t original,
                            wire::ConstBytes data, unsigned fcs, Frame& out) {
  original = std::max(original, captured);
  if (fcs != 0 && captured == original && captured >= fcs) captured = original = captured - fcs;
  out.time = last_ = to_instant(ticks, i.ticks_per_second, i.offset_seconds);
  out.link_type = i.link_type;
  out.original = original;
  out.swapped = swapped_;
  out.bytes = data.first(captured);
  return true;
}

}  // namespace sluice::port
