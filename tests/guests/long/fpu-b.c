/*
 * One of two VMs that share a CPU: see fpu.h.
 */
#define SEED	  2
#define SEED_XCR0 3
#include "fpu.h"
