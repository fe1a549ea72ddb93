/*
 * User programs: those that are built into the kernel, each run as a thread in ring 3 with an
 * address space of its own.
 */
#ifndef LABOS_USER_H
#define LABOS_USER_H

#include <stdint.h>

/* Starts a program with a number as its argument. The thread's number for thread_wait, or -1. */
int user_start(const char *name, uint32_t argument);

#endif
