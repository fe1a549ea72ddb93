/*
 * One of two VMs that look for each other's memory: see scan.h.
 */
#define SEED 1
#include "scan.h"
