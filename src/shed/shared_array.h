// Memory that verdicts read and user space writes: an array, zeroed, either a BPF map (mmapped) or plain memory of this
// process. Control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace sluice::shed {

class SharedArray {
 public:
  struct Shape {
    const char* name;       // of the map, at most 15 characters
    uint32_t value_size;    // a multiple of 8
    uint32_t entries;
    bool any_length = false;  // inner map of an array-of-maps whose members differ in length
  };

  SharedArray() = default;
  SharedArray(SharedArray&& o) noexcept { swap(o); }
  SharedArray& operator=(SharedArray&& o) noexcept {
    SharedArray gone(std::move(o));
    swap(gone);
    return *this;
  }
  ~SharedArray();

  // Plain memory costs nothing until it is written to.
  static Result<SharedArray> make(const Shape& s, bool kernel);
  // An array of two maps such as `like`; both empty.
  static Result<SharedArray> make_outer(const char* name, const SharedArray& like);

  explicit operator bool() const { return data_ || fd_ >= 0; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  int fd() const { return fd_; }  // -1: plain memory
  size_t bytes() const { return bytes_; }
  // Puts a map into an outer one, or nothing. Returns when no program still looks at what was there before.
  Status put(uint32_t slot, const SharedArray& inner) const;

 private:
  void swap(SharedArray& o) noexcept {
    std::swap(data_, o.data_), std::swap(bytes_, o.bytes_), std::swap(fd_, o.fd_);
  }
  void* data_ = nullptr;
  size_t bytes_ = 0;
  int fd_ = -1;
};

}  // namespace sluice::shed
