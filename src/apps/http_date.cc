#include "apps/http_date.h"

#include <algorithm>
#include <chrono>

namespace sluice::apps {

namespace {

using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr int64_t kDay = 86400;
constexpr std::string_view kDays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";

sys_days day_of(int64_t seconds) { return sys_days{std::chrono::days{seconds / kDay}}; }

void digits(char* to, unsigned v, unsigned n) {
  while (n-- > 0) {
    to[n] = static_cast<char>('0' + v % 10);
    v /= 10;
  }
}

// What is left of a date, taken from the front.
class Text {
 public:
  explicit Text(std::string_view s) : s_(s) {}
  bool word(std::string_view w) {
    if (!s_.starts_with(w)) return false;
    s_.remove_prefix(w.size());
    return true;
  }
  // Exactly n digits; the first may be a blank if `padded`. -1: they are not there.
  int number(size_t n, bool padded = false) {
    if (s_.size() < n) return -1;
    int v = 0;
    for (size_t i = 0; i < n; i++) {
      if (padded && i == 0 && s_[0] == ' ') continue;
      if (s_[i] < '0' || s_[i] > '9') return -1;
      v = v * 10 + (s_[i] - '0');
    }
    s_.remove_prefix(n);
    return v;
  }
  int month() {
    const size_t at = s_.size() < 3 ? kMonths.npos : kMonths.find(s_.substr(0, 3));
    if (at == kMonths.npos || at % 3 != 0) return -1;
    s_.remove_prefix(3);
    return static_cast<int>(at / 3) + 1;
  }
  // "08:49:37", a leap second included; -1: it is not there.
  int64_t time() {
    const int h = number(2), m = word(":") ? number(2) : -1, s = word(":") ? number(2) : -1;
    return h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 60 ? -1 : h * 3600 + m * 60 + s;
  }
  bool ends() const { return s_.empty(); }

 private:
  std::string_view s_;
};

int64_t seconds_of(int year, int month, int day, int64_t time) {
  if (year < 1970 || month < 1 || day < 1 || time < 0) return -1;
  const year_month_day date{std::chrono::year{year}, std::chrono::month{static_cast<unsigned>(month)},
                            std::chrono::day{static_cast<unsigned>(day)}};
  return date.ok() ? int64_t{sys_days{date}.time_since_epoch().count()} * kDay + time : -1;
}

// One that seems to be more than 50 years ahead is the last one that ended in these digits.
int full_year(int two, int64_t now) {
  const int year = int{year_month_day{day_of(now)}.year()};
  const int same_century = year - year % 100 + two;
  return same_century > year + 50 ? same_century - 100 : same_century;
}

}  // namespace

void write_http_date(int64_t seconds, std::span<char, kHttpDate> to) {
  const sys_days day = day_of(seconds);
  const year_month_day date{day};
  const auto time = static_cast<unsigned>(seconds % kDay);
  const std::string_view model = "Sun, 06 Nov 1994 08:49:37 GMT";
  std::copy(model.begin(), model.end(), to.begin());
  std::copy_n(kDays[std::chrono::weekday{day}.c_encoding()].begin(), 3, to.begin());
  digits(&to[5], unsigned{date.day()}, 2);
  std::copy_n(kMonths.begin() + 3 * (unsigned{date.month()} - 1), 3, to.begin() + 8);
  digits(&to[12], static_cast<unsigned>(int{date.year()}), 4);
  digits(&to[17], time / 3600, 2);
  digits(&to[20], time / 60 % 60, 2);
  digits(&to[23], time % 60, 2);
}

std::string http_date(int64_t seconds) {
  std::string s(kHttpDate, ' ');
  write_http_date(seconds, std::span<char, kHttpDate>(s));
  return s;
}

int64_t parse_http_date(std::string_view s, int64_t now) {
  const auto named = [&](size_t letters) {
    return std::find_if(std::begin(kDays), std::end(kDays),
                        [&](std::string_view d) { return s.starts_with(d.substr(0, letters)); });
  };
  const auto* whole = named(s.npos);
  const auto* day = named(3);
  if (day == std::end(kDays)) return -1;
  Text t(s.substr(whole != std::end(kDays) ? whole->size() : 3));
  if (whole != std::end(kDays)) {  // RFC 850: "Sunday, 06-Nov-94 08:49:37 GMT"
    const int d = t.word(", ") ? t.number(2) : -1, m = t.word("-") ? t.month() : -1, y = t.word("-") ? t.number(2) : -1;
    const int64_t time = t.word(" ") ? t.time() : -1;
    return t.word(" GMT") && t.ends() && y >= 0 ? seconds_of(full_year(y, now), m, d, time) : -1;
  }
  if (t.word(", ")) {              // "Sun, 06 Nov 1994 08:49:37 GMT"
    const int d = t.number(2), m = t.word(" ") ? t.month() : -1, y = t.word(" ") ? t.number(4) : -1;
    const int64_t time = t.word(" ") ? t.time() : -1;
    return t.word(" GMT") && t.ends() ? seconds_of(y, m, d, time) : -1;
  }
  // asctime: "Sun Nov  6 08:49:37 1994"
  const int m = t.word(" ") ? t.month() : -1, d = t.word(" ") ? t.number(2, true) : -1;
  const int64_t time = t.word(" ") ? t.time() : -1;
  const int y = t.word(" ") ? t.number(4) : -1;
  return t.ends() ? seconds_of(y, m, d, time) : -1;
}

}  // namespace sluice::apps
