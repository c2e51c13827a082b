#include "ctl/table.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>

namespace sluice::ctl {

Table::Table(std::vector<std::string> columns) {
  for (std::string& c : columns) {
    bool right = !c.empty() && c[0] == '>';
    right_.push_back(right);
    head_.push_back(right ? c.substr(1) : c);
  }
}

void Table::row(std::vector<std::string> cells) {
  cells.resize(head_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> width;
  for (const auto& h : head_) width.push_back(h.size());
  for (const auto& r : rows_)
    for (size_t i = 0; i < r.size(); i++) width[i] = std::max(width[i], r[i].size());
  auto line = [&](const std::vector<std::string>& r) {
    std::string s;
    for (size_t i = 0; i < r.size(); i++) {
      std::string pad(width[i] - r[i].size(), ' ');
      s += (i ? "  " : "") + (right_[i] ? pad + r[i] : r[i] + pad);
    }
    s.erase(s.find_last_not_of(' ') + 1);
    return s + "\n";
  };
  std::string out = line(head_);
  for (const auto& r : rows_) out += line(r);
  return out;
}

std::string count(double n) {
  std::string digits = std::to_string(static_cast<uint64_t>(n)), s;
  for (size_t i = 0; i < digits.size(); i++) {
    if (i && (digits.size() - i) % 3 == 0) s += ',';
    s += digits[i];
  }
  return s;
}

std::string rate(double n, const char* unit) {
  static const char* scale[] = {"", "k", "M", "G", "T"};
  unsigned i = 0;
  while (n >= 1000 && i < 4) {
    n /= 1000;
    i++;
  }
  char buf[48];
  std::snprintf(buf, sizeof buf,
                n < 10 && (i || n != std::floor(n)) ? "%.2f %s%s"
                : n < 100 && i                      ? "%.1f %s%s"
                                                    : "%.0f %s%s",
                n, scale[i], unit);
  return buf;
}

std::string span(double seconds) {
  char buf[48];
  auto s = static_cast<uint64_t>(seconds + 0.05);  // as the tenths below round: 59.96 is a minute
  if (s >= 86400)
    std::snprintf(buf, sizeof buf, "%llud %lluh", s / 86400ull, s % 86400 / 3600ull);
  else if (s >= 3600)
    std::snprintf(buf, sizeof buf, "%lluh %llum", s / 3600ull, s % 3600 / 60ull);
  else if (s >= 60)
    std::snprintf(buf, sizeof buf, "%llum %llus", s / 60ull, s % 60ull);
  else
    std::snprintf(buf, sizeof buf, "%.1fs", seconds);
  return buf;
}

}  // namespace sluice::ctl
