// Verbs about one connection: which one the parameters name.
#pragma once

#include <functional>

#include "control/commands.h"
#include "control/tcp_answers.h"
#include "sluice/control.h"

namespace sluice::control {

// By "id", or by "remote" (ADDRESS:PORT) where only one connection has it. Takes all parameters; throws what
// Params::invalid throws, or kRefused where there is no such connection.
ConnName connection_named(Context& c, Params& p);
// Runs `f` on the lcore of a stack engine. Throws kBusy where that does not answer.
void on_stack(Context& c, const Params& p, unsigned stack, const std::function<void(tcp::Stack&)>& f);

}  // namespace sluice::control
