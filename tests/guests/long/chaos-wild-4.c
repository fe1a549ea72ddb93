/*
 * Random operations that need not end well: see chaos-wild.h.
 */
#define SEED	  0x424242ull
#define WILD_PART REGISTERS
#include "chaos-wild.h"
