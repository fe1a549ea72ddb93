/*
 * What is around the shell's commands, for their tests: two VMs with some memory, operations on
 * them that note how they were called, and a log that keeps what is printed.
 */
#pragma once

#include "../../core/manage.h"
#include "../../core/pc.h"

extern char fake_shell_text[1u << 16];	/* what was printed */
extern char fake_shell_calls[1u << 10]; /* "start one; weight two 5; " */
extern int fake_shell_status;		/* what the operations return */
extern uint64_t fake_shell_tsc_step;	/* that each look at the clock takes, in ns */
extern struct timer *fake_shell_timer;	/* that is set; NULL: none */
extern void (*fake_shell_live)(void);	/* what the last command left going on */
extern bool fake_shell_focused;
extern char fake_shell_input[256]; /* what the console draws again after log lines */
extern struct manage_regs fake_shell_regs;
extern const char *fake_shell_config_error; /* manage_create tells it; NULL: none */

/* Nothing printed, nothing called; VM `one` runs and `two` is paused. */
void fake_shell_begin(void);
/* Nothing printed, nothing called; all else as it is. */
void fake_shell_forget(void);
/* 128 KiB from 0 on, in two slots, and 64 KiB at 1 MiB. */
uint8_t *fake_shell_memory(unsigned vm, uint64_t address);
