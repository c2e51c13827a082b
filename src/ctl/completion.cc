#include "ctl/views.h"

namespace sluice::ctl {

namespace {
const char kVerbs[] =
    "version methods status ports lcores routes neighbors rules flows drops audit events config watch stop "
    "completion";
}

std::string completion(const std::string& shell) {
  const std::string verbs = kVerbs;
  if (shell == "bash")
    return "_sluicectl() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  case $prev in\n"
           "    config) COMPREPLY=($(compgen -W 'get check apply' -- \"$cur\")); return;;\n"
           "    check|apply|-s|--socket) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n"
           "    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$cur\")); return;;\n"
           "  esac\n"
           "  if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W '--json --socket --timeout --help' -- "
           "\"$cur\")); return; fi\n"
           "  COMPREPLY=($(compgen -W '" +
           verbs +
           "' -- \"$cur\"))\n"
           "}\n"
           "complete -F _sluicectl sluicectl\n";
  if (shell == "zsh")
    return "#compdef sluicectl\n_sluicectl() {\n  case $words[2] in\n    config) compadd get check apply; "
           "_files;;\n    *) compadd " +
           verbs + ";;\n  esac\n}\ncompdef _sluicectl sluicectl\n";
  if (shell == "fish")
    return "complete -c sluicectl -f -n __fish_use_subcommand -a '" + verbs +
           "'\ncomplete -c sluicectl -n '__fish_seen_subcommand_from config' -a 'get check apply'\n"
           "complete -c sluicectl -l json -d 'answers for programs'\n";
  return "";
}

}  // namespace sluice::ctl
