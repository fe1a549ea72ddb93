/*
 * One of two VMs that look for each other's memory: see scan.h.
 */
#define SEED 2
#include "scan.h"
