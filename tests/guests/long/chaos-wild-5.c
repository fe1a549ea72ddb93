/*
 * Random operations that need not end well: see chaos-wild.h.
 */
#define SEED	  0xabcdef0123ull
#define WILD_PART CODE_BYTES
#include "chaos-wild.h"
