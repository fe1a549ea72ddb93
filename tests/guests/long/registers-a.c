/*
 * One of two VMs that share a CPU: see registers.h.
 */
#define SEED 1
#include "registers.h"
