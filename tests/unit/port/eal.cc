#include "eal_env.h"
