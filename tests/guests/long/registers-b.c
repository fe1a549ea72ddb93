/*
 * One of two VMs that share a CPU: see registers.h.
 */
#define SEED 2
#include "registers.h"
