/*
 * One of two VMs that share a CPU: see fpu.h.
 */
#define SEED	  1
#define SEED_XCR0 7
#include "fpu.h"
