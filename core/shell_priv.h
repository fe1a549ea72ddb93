/*
 * What the shell's commands share (shell*.c): their arguments, complaints, and the functions in the
 * table (shell_commands.c). Known to these files only.
 */
#pragma once

#include "shell_table.h"
#include "vm.h"

extern const struct shell_table shell_table;

/* "COMMAND: TEXT; for example: EXAMPLE". TEXT says what is wrong, and what would be right. */
void shell_wrong(const char *command, const char *fmt, ...) printf_like(2, 3);
/* Takes the name of a VM off *arg. NULL: there is none of it, and a line has said so. */
struct vm *shell_vm(const char *command, char **arg);
/* Whether nothing follows any more; if not, a line has said so. */
bool shell_end(const char *command, const char *arg);
/* A whole word as a number from min to max; else a line says what `what` should be. */
bool shell_number(const char *command, const char *what, const char *word, uint64_t min,
		  uint64_t max, uint64_t *out);
/* A whole word in hexadecimal, with or without 0x. */
bool shell_hex(const char *word, uint64_t *out);
const char *shell_state(const struct vm *vm);
/* A call on a VM that failed: says what state it is in, and `wanted`, in which it should be. */
void shell_failed(const char *command, const struct vm *vm, int status, const char *wanted);

/*
 * From a command: it goes on (by a timer) until a key is pressed or a VM gets the console, then
 * `stop` is called.
 */
void shell_live(void (*stop)(void));

/* A configuration as shell_create takes it, on one line; false: it was longer than `size`. */
bool shell_config_text(const struct vm_config *c, char *text, size_t size);
/* The other way: each ; outside of quotes becomes a line's end. */
void shell_config_lines(char *text);

/* shell_commands.c */
void shell_help(char *arg);

/* shell_machine.c: the machine and the hypervisor itself. */
void shell_machine(char *arg);
void shell_cpus(char *arg);
void shell_ping(char *arg);
void shell_frames(char *arg);
void shell_audit(char *arg);
void shell_selftest(char *arg);
void shell_trace(char *arg);
void shell_sleep(char *arg);
void shell_loglevel(char *arg);
void shell_crash(char *arg);
void shell_reboot(char *arg);
void shell_poweroff(char *arg);

/* shell_vms.c: the life of VMs. */
void shell_vms(char *arg);
void shell_info(char *arg);
void shell_create(char *arg);
void shell_config(char *arg);
void shell_start_vm(char *arg);
void shell_pause(char *arg);
void shell_resume(char *arg);
void shell_reset(char *arg);
void shell_stop(char *arg);
void shell_destroy(char *arg);
void shell_weight(char *arg);
void shell_cpu(char *arg);
void shell_focus(char *arg);
void shell_log(char *arg);
void shell_inject(char *arg);
void shell_nmi(char *arg);

/* shell_look.c: a VM's registers and memory. */
void shell_regs(char *arg);
void shell_mem(char *arg);
void shell_find(char *arg);

/* shell_devices.c */
void shell_devices(char *arg);

/* shell_stats.c: counters. */
void shell_stats(char *arg);
void shell_top(char *arg);
