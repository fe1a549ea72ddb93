/*
 * Random operations that need not end well: see chaos-wild.h.
 */
#define SEED	  0x5555ull
#define WILD_PART TABLES
#include "chaos-wild.h"
