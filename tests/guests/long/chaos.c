/*
 * A million random operations: see chaos.h.
 */
#define SEED  0x20240229c0ffeeull
#define COUNT 1000000u
#include "chaos.h"
