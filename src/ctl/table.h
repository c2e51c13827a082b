// Columns for people: a header, rows, numbers to the right.
#pragma once

#include <string>
#include <vector>

namespace sluice::ctl {

class Table {
 public:
  // A name that starts with '>' is a column of numbers.
  explicit Table(std::vector<std::string> columns);
  void row(std::vector<std::string> cells);
  std::string text() const;
  bool empty() const { return rows_.empty(); }

 private:
  std::vector<std::string> head_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

std::string count(double n);                   // 1234567 → "1,234,567"
std::string rate(double n, const char* unit);  // 1234567 → "1.23 M" + unit
std::string span(double seconds);

}  // namespace sluice::ctl
