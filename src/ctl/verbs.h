// The command line as requests: a verb of it names a method, its options fill in fields.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

namespace sluice::ctl {

struct Request {
  std::string method;
  nlohmann::json params = nlohmann::json::object();
  std::string file;       // config.check, config.apply: its text is sent; "-": standard input
  std::string list_file;  // block.load, allow.load: sent in pieces
};

// A verb of the command line, and options that fill in fields of its request.
struct Verbs {
  CLI::App& app;
  Request& r;

  CLI::App* verb(const char* name, const std::string& method, const std::string& help) {
    CLI::App* s = app.add_subcommand(name, help);
    s->callback([&to = r, method] { to.method = method; });
    return s;
  }
  CLI::Option* text(CLI::App* s, const char* option, const char* field, const std::string& help) {
    return s->add_option_function<std::string>(
        option, [&to = r, field](const std::string& v) { to.params[field] = v; }, help);
  }
  void number(CLI::App* s, const char* option, const char* field, const char* help) {
    s->add_option_function<uint64_t>(
        option, [&to = r, field](uint64_t v) { to.params[field] = v; }, help);
  }
};

// block, allow and shed; `changes` is false below `watch`, which repeats only what asks.
void add_shed(CLI::App& app, Request& r, bool changes);

// An error of the box, which names methods (block.remove), in the words that call them here (block del).
std::string as_typed(const CLI::App& app, const std::string& message);

// The first word that is no command where one is expected, with what it probably was: a sentence. Empty: there is none, or
// the parser will say more.
std::string misspelt(const CLI::App& app, int argc, char** argv);

}  // namespace sluice::ctl
