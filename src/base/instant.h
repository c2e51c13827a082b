// Points in time and spans, in nanoseconds. An Instant counts from an arbitrary start (boot, or
// the first frame of a capture): only the lcore loop and the replay driver make one; everything
// below takes it as an argument.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

struct Duration {
  int64_t ns = 0;
  static constexpr Duration nanos(int64_t n) { return {n}; }
  static constexpr Duration micros(int64_t n) { return {n * 1000}; }
  static constexpr Duration millis(int64_t n) { return {n * 1000'000}; }
  static constexpr Duration seconds(int64_t n) { return {n * 1000'000'000}; }
  constexpr int64_t ms() const { return ns / 1000'000; }
  constexpr auto operator<=>(const Duration&) const = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
  friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
  friend constexpr Duration operator*(Duration a, int64_t k) { return {a.ns * k}; }
};

struct Instant {
  int64_t ns = 0;
  static constexpr Instant never() { return {INT64_MAX}; }
  constexpr auto operator<=>(const Instant&) const = default;
  // never() stays never(): a deadline that is not armed must not wrap round.
  friend constexpr Instant operator+(Instant t, Duration d) {
    return d.ns > 0 && t.ns > INT64_MAX - d.ns ? never() : Instant{t.ns + d.ns};
  }
  friend constexpr Instant operator-(Instant t, Duration d) { return {t.ns - d.ns}; }
  friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
};

}  // namespace sluice
