#include "ctl/views.h"

namespace sluice::ctl {

namespace {
const char kVerbs[] =
    "version methods status ports lcores routes neighbors rules flows services tcp block allow shed drops audit events config watch stop "
    "completion";
}

std::string completion(const std::string& shell) {
  const std::string verbs = kVerbs;
  if (shell == "bash")
    return "_sluicectl() {\n"
           "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "  case $prev in\n"
           "    tcp) COMPREPLY=($(compgen -W 'list show counters close abort' -- \"$cur\")); return;;\n"
           "    block|allow) COMPREPLY=($(compgen -W 'list find add del load clear' -- \"$cur\")); return;;\n"
           "    shed) COMPREPLY=($(compgen -W 'status level' -- \"$cur\")); return;;\n"
           "    level) COMPREPLY=($(compgen -W 'auto off rest new established max' -- \"$cur\")); return;;\n"
           "    --state) COMPREPLY=($(compgen -W 'established syn-sent syn-received close-wait fin-wait-1 fin-wait-2 "
           "closing last-ack time-wait' -- \"$cur\")); return;;\n"
           "    config) COMPREPLY=($(compgen -W 'get check apply' -- \"$cur\")); return;;\n"
           "    check|apply|load|-s|--socket) COMPREPLY=($(compgen -f -- \"$cur\")); return;;\n"
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
           "_files;;\n    tcp) compadd list show counters close abort;;\n"
           "    block|allow) compadd list find add del load clear; _files;;\n    shed) compadd status level auto off rest new established max;;\n    *) compadd " +
           verbs + ";;\n  esac\n}\ncompdef _sluicectl sluicectl\n";
  if (shell == "fish")
    return "complete -c sluicectl -f -n __fish_use_subcommand -a '" + verbs +
           "'\ncomplete -c sluicectl -n '__fish_seen_subcommand_from config' -a 'get check apply'\n"
           "complete -c sluicectl -n '__fish_seen_subcommand_from tcp' -a 'list show counters close abort'\n"
           "complete -c sluicectl -n '__fish_seen_subcommand_from block allow' -a 'list find add del load clear' -F\n"
           "complete -c sluicectl -n '__fish_seen_subcommand_from shed' -a 'status level auto off rest new established max'\n"
           "complete -c sluicectl -l json -d 'answers for programs'\n";
  return "";
}

}  // namespace sluice::ctl
