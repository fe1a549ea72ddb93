/*
 * Names for addresses, from the ELF symbols that the boot loader loaded; backtraces
 * (arch/x86_64/symbols.c).
 */
#pragma once

#include <crvm/boot_info.h>
#include <crvm/compiler.h>

/* Believes the sections only where they lie in RAM that is mapped; reports otherwise. */
void symbols_init(const struct boot_symbols *s);
/* "name+0x12" or the bare address; returns buf. Any context. */
char *symbols_format(char *buf, size_t size, uint64_t addr);
/* Calls `line` for each frame from this frame pointer on; stops at anything odd. Any context. */
void symbols_backtrace(uint64_t rip, uint64_t rbp, void (*line)(const char *text));
