#include "ctl/verbs.h"

#include "base/command_line.h"
#include "sluice/control.h"

namespace sluice::ctl {

namespace {

// block add PREFIX for 10m.
void span_words(CLI::App* s, Request& r) {
  CLI::Option* word = s->add_option_function<std::string>(
      "for",
      [](const std::string& found) {
        if (found != "for") throw CLI::ValidationError("found '" + found + "', expected 'for TIME', such as 'for 10m'");
      },
      "the word, and how long; left out: until it is removed, or sluiced ends");
  const auto until = [&r](const std::string& v) { r.params["for"] = v; };
  word->type_name("")->needs(s->add_option_function<std::string>("TIME", until, "10m, 1h30m, 7d")->type_name(""));
  s->add_option_function<std::string>("--for", until, "the same")->type_name("TIME");
}

void add_list(CLI::App& app, Request& r, const std::string& name, bool changes) {
  const bool block = name == "block";
  CLI::App* list = app.add_subcommand(name, block ? "blocked sources: list, find, add, del, load, clear"
                                                  : "allowed sources, blocked or not: list, find, add, del, load, clear");
  Verbs v{*list, r};
  list->require_subcommand(0, 1);
  list->callback([&r, name] {
    if (r.method.empty()) r.method = name + ".list";
  });
  CLI::App* s = v.verb("list", name + ".list", "the list, in order of address; the same as " + name + " alone");
  v.text(s, "prefix", "prefix", "what lies in this prefix");
  v.number(s, "--limit", "limit", "at most so many (100)");
  v.text(s, "--cursor", "cursor", "go on behind this entry");
  v.text(v.verb("find", name + ".find", "what decides about a source address"), "address", "address", "an address")->required();
  if (!changes) return;
  s = v.verb("add", name + ".add", block ? "block a prefix, at once" : "let a prefix pass, at once");
  v.text(s, "prefix", "prefix", "203.0.113.0/24, 2001:db8::/32, or an address")->required();
  span_words(s, r);
  s = v.verb("del", name + ".remove", "end what was added by command")->alias("remove");
  v.text(s, "prefix", "prefix", "the prefix as it was added")->required();
  s = v.verb("load", name + ".load", "add many at one moment");
  s->add_option("file", r.list_file, "a prefix a line, # comments; -: standard input")->required();
  span_words(s, r);
  s->add_flag_callback("--replace", [&r] { r.params["replace"] = true; }, "instead of all that were added by command");
  v.verb("clear", name + ".clear", "end all that were added by command");
}

}  // namespace

void add_shed(CLI::App& app, Request& r, bool changes) {
  add_list(app, r, "block", changes);
  add_list(app, r, "allow", changes);
  CLI::App* shed = app.add_subcommand("shed", "early drop: status, level");
  Verbs v{*shed, r};
  shed->require_subcommand(0, 1);
  shed->callback([&r] {
    if (r.method.empty()) r.method = "shed.status";
  });
  CLI::App* s = v.verb("status", "shed.status", "levels, what was dropped and why; the same as shed alone");
  v.text(s, "--port", "port", "this port only");
  if (!changes) return;
  s = v.verb("level", "shed.level", "shed by hand, or by load again");
  v.text(s, "level", "level", std::string(control::kShedLevels) + ": so much is shed; auto: by load")->required();
  v.text(s, "--port", "port", "this port only");
}

std::string as_typed(const CLI::App& app, const std::string& message) {
  std::string s = message;
  const auto all = [](const CLI::App*) { return true; };
  for (const CLI::App* group : app.get_subcommands(all))
    for (size_t at = 0; (at = s.find(group->get_name() + ".", at)) != s.npos; at++) {
      const size_t verb = at + group->get_name().size() + 1;
      const size_t end = std::min(s.find_first_not_of("abcdefghijklmnopqrstuvwxyz", verb), s.size());
      if (at > 0 && s[at - 1] != ' ') continue;
      for (const CLI::App* c : group->get_subcommands(all))
        if (c->check_name(s.substr(verb, end - verb))) {
          s.replace(verb - 1, end - verb + 1, " " + c->get_name());
          break;
        }
    }
  return s;
}

std::string misspelt(const CLI::App& app, int argc, char** argv) {
  const CLI::App* at = &app;
  std::string path;
  const auto option = [&](const std::string& name) -> const CLI::Option* {
    for (const CLI::App* a = at; a; a = a->get_parent())
      if (const CLI::Option* o = a->get_option_no_throw(name)) return o;
    return nullptr;
  };
  for (int i = 1; i < argc; i++) {
    const std::string word = argv[i];
    if (word == "--" || word.empty()) return "";
    if (word[0] == '-' && word.size() > 1) {
      const CLI::Option* o = option(word.substr(0, word.find('=')));
      if (o && word.find('=') == word.npos && o->get_items_expected_max() > 0) i++;
      continue;
    }
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* s : at->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(s->get_name());
      if (s->check_name(word)) next = s;
    }
    if (!next && !names.empty()) {
      const std::string meant = nearest(word, names);
      std::string all;
      for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
      return "there is no command '" + path + word + "'" +
             (!meant.empty() ? "; did you mean '" + path + meant + "'?" : path.empty() ? "; --help lists them" : "; there are " + all);
    }
    if (!next) return "";
    at = next;
    path += next->get_name() + " ";
  }
  return "";
}

}  // namespace sluice::ctl
