// Reads captures: classic pcap (microseconds and nanoseconds, both byte orders, the Kuznetzov variant)
// and pcapng (several sections, several interfaces of different link types). Hands out one frame at a
// time, in file order; nothing is trusted, and memory stays bounded whatever the file says.
// Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/instant.h"
#include "base/result.h"
#include "wire/headers.h"

namespace sluice::port {

class PcapReader {
 public:
  struct Frame {
    Instant time;            // since 1970
    uint32_t link_type = 1;  // LINKTYPE_ value
    uint32_t original = 0;   // bytes on the wire; more than bytes.size(): snapped
    bool swapped = false;    // the file's byte order is not this machine's (LINKTYPE_NULL needs to know)
    wire::ConstBytes bytes;  // valid until the next call
  };
  enum class Next : uint8_t { frame, end, broken };

  static Result<std::unique_ptr<PcapReader>> open(const std::string& path);
  // A capture in memory, which must outlive the reader.
  static Result<std::unique_ptr<PcapReader>> from_bytes(wire::ConstBytes bytes, const std::string& name);
  ~PcapReader();
  PcapReader(const PcapReader&) = delete;

  // broken: the file ends in the middle of a record, or a record is impossible; complaint() says where.
  // After end or broken it stays so.
  Next next(Frame& out);
  const std::string& complaint() const { return complaint_; }
  // Of the first interface known when the file was opened.
  uint32_t first_link_type() const { return interfaces_.empty() ? 1 : interfaces_.front().link_type; }

 private:
  struct Interface {
    uint32_t link_type = 1, snap = 0;
    unsigned fcs = 0;  // bytes of frame check sequence at the end of each frame
    uint64_t ticks_per_second = 1000'000;
    int64_t offset_seconds = 0;
  };

  PcapReader() = default;
  Status read_head();
  Status read_classic_head();
  Status read_section_head();
  Next next_classic(Frame& out);
  Next next_block(Frame& out);
  bool take_block(uint32_t type, wire::ConstBytes body, Frame& out);
  void add_interface(wire::ConstBytes body);
  bool take_enhanced(wire::ConstBytes body, Frame& out);
  bool take_simple(wire::ConstBytes body, Frame& out);
  bool take_obsolete(wire::ConstBytes body, Frame& out);
  bool fill_frame(const Interface& i, uint64_t ticks, uint32_t captured, uint32_t original,
                  wire::ConstBytes data, unsigned fcs, Frame& out);
  Next broken(const std::string& what);

  size_t need(size_t n);  // bytes that can be looked at from the cursor: n, or fewer at the end
  void skip(size_t n);
  uint16_t u16(wire::ConstBytes b, size_t at) const;
  uint32_t u32(wire::ConstBytes b, size_t at) const;
  wire::ConstBytes look(size_t n) const { return {data_ + cursor_, n}; }

  std::string name_, complaint_;
  int fd_ = -1;
  std::vector<uint8_t> buffer_;  // empty where the capture lies in memory
  const uint8_t* data_ = nullptr;
  size_t cursor_ = 0, end_ = 0;  // in data_
  uint64_t position_ = 0;        // of the cursor, in the file
  bool swapped_ = false, classic_ = true;
  size_t record_head_ = 16;  // classic
  std::vector<Interface> interfaces_;
  Instant last_{};  // simple packet blocks have no time: they take the one before
  bool block_bad_ = false;
  Next state_ = Next::frame;
};

}  // namespace sluice::port
