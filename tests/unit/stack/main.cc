#include "tests/unit/eal_env.h"
