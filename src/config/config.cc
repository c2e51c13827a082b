#include "config/config.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <tuple>

#include "config/yaml_reader.h"

namespace sluice::config {
namespace {

// The pool's size where the file leaves it out: twice what the rings hold, so that four and more ports work.
void size_packets(Model& m, const Node* root) {
  const Node* system = root->find("system");
  if (system && system->find("packets")) return;
  uint64_t rings = 0;
  for (const Port& p : m.ports) rings += static_cast<uint64_t>(p.queues) * p.ring_size;
  m.system.packets = static_cast<unsigned>(std::max<uint64_t>(m.system.packets, std::bit_ceil(2 * rings)));
}

void check_memory_limit(const Loaded& l, Findings& f, const RouteCount& from_files) {
  const uint64_t limit = l.model.system.memory_limit;
  if (!limit || f.doubtful("")) return;
  if (std::string s = over_budget(memory_budget(l.model, from_files), limit, "system.memory-limit");
      !s.empty())
    f.add("system.memory-limit", s);
}

// Route files as load_file() finds them: relative to the configuration's folder.
RouteCount open_route_files(Model& m, const std::filesystem::path& folder, Findings& f) {
  RouteCount count;
  for (size_t i = 0; i < m.route_files.size(); i++) {
    std::string& path = m.route_files[i].path;
    path = (folder / path).string();
    if (!count_routes(path, count))
      f.add("route-files[" + std::to_string(i) + "]",
            "the file '" + path + "' cannot be read: " + std::strerror(errno));
  }
  return count;
}

// Folders that services serve, made relative to the configuration's.
void find_folders(Model& m, const std::filesystem::path& folder, Findings& f) {
  for (size_t i = 0; i < m.services.size(); i++) {
    std::string& path = m.services[i].http.files;
    if (path.empty()) continue;
    path = (folder / path).string();
    std::error_code error;
    if (!std::filesystem::is_directory(path, error))
      f.add("services[" + std::to_string(i) + "].http.files",
            "the folder '" + path + "' " + (error || !std::filesystem::exists(path, error) ? "does not exist" : "is a file"));
  }
}

void sort_mistakes(std::vector<Mistake>& all) {
  std::stable_sort(all.begin(), all.end(), [](const Mistake& a, const Mistake& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
  if (all.size() >= Reader::kMaxMistakes)
    all.push_back({all.back().file, 0, 0, "",
                   "there are more mistakes; these are the first " + std::to_string(all.size())});
}

// `folder`: where files that it names are looked for; null: the machine is not asked about anything.
Loaded load(const std::string& text, const std::string& name, const Overrides& set, const std::filesystem::path* folder) {
  Loaded l;
  if (text.size() > kMaxFileSize) {
    l.mistakes.push_back({name, 0, 0, "",
                          "the file has " + format_bytes(text.size()) + ", more than the " +
                              format_bytes(kMaxFileSize) +
                              " that a configuration may have; long route "
                              "lists belong in route-files"});
    return l;
  }
  Document doc(name);
  if (!doc.parse(text, l.mistakes)) return l;
  for (auto& [path, value] : set) doc.set(path, value, l.mistakes);
  const At root{doc.root()};
  Reader reader(doc, l.mistakes);
  if (root_keys().read(reader, root, l.model)) {
    l.model.filter.present = doc.root()->find("filter") != nullptr;
    size_packets(l.model, doc.root());
    Findings f(doc, l.mistakes);
    validate(l.model, f);
    RouteCount from_files;
    if (folder) from_files = open_route_files(l.model, *folder, f);
    if (folder) find_folders(l.model, *folder, f);
    if (folder) read_shed_files(l.model, folder->string(), f);
    Findings all(doc, l.mistakes);
    if (l.mistakes.empty()) check_memory_limit(l, all, from_files);
    if (folder && l.mistakes.empty())
      if (std::string s =
              over_budget(memory_budget(l.model, from_files), available_memory(), "the memory that is free");
          !s.empty())
        l.mistakes.push_back({name, 0, 0, "", s});
  }
  sort_mistakes(l.mistakes);
  return l;
}

}  // namespace

std::string to_string(const Mistake& m) {
  std::string s = m.file;
  if (m.line) s += ":" + std::to_string(m.line) + ":" + std::to_string(m.column);
  if (!m.path.empty()) s += ": " + m.path;
  return s + ": " + m.message;
}

Loaded load_text(const std::string& text, const std::string& file_name, const Overrides& set) {
  return load(text, file_name, set, nullptr);
}

std::string folder_of(const std::string& file) {
  return std::filesystem::absolute(file).lexically_normal().parent_path().string();
}

Loaded load_text_in(const std::string& folder, const std::string& text, const std::string& file_name, const Overrides& set) {
  const std::filesystem::path in = folder;
  return load(text, file_name, set, &in);
}

Loaded load_file(const std::string& path, const Overrides& set) {
  auto unreadable = [&](const std::string& why) {
    Loaded l;
    l.mistakes.push_back({path, 0, 0, "", "the file cannot be read: " + why});
    return l;
  };
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return unreadable("it is a folder");
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::strerror(errno));
  // One byte beyond the limit is enough to know that it is exceeded, also of a file without an end.
  std::string text(kMaxFileSize + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return unreadable(std::strerror(errno));
  text.resize(static_cast<size_t>(in.gcount()));
  return load_text_in(folder_of(path), text, path, set);
}

}  // namespace sluice::config
