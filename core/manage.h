/*
 * Managing VMs while they run (manage.c): the one set of operations behind boot configuration,
 * shell and hypercalls. Private to core/. Boot CPU's loop, with no lock held; a VM's own CPU does
 * the work.
 *
 * All return OK or a status: E_NOENT no such VM, E_BUSY wrong state for it, E_INVAL a bad
 * parameter, E_NOMEM, E_FAULT an address that is not the VM's memory, E_NODEV a CPU that is not
 * there.
 */
#pragma once

#include "vm.h"

/* By name; or by number, from 1 on, as text. NULL: there is none. */
struct vm *manage_find(const char *name);

/* Creates the VMs of a configuration text, and starts those that want it; errors go to `sink`, and
 * to the log. Returns how many sections were good. */
unsigned manage_create(const char *text, size_t len, struct vm_config_sink *sink);

must_check int manage_start(struct vm *vm);  /* created or stopped -> running: power on */
must_check int manage_pause(struct vm *vm);  /* running -> paused; its time stands still */
must_check int manage_resume(struct vm *vm); /* paused -> running */
must_check int manage_reset(struct vm *vm);  /* running or paused -> running, from power-on */
must_check int manage_stop(struct vm *vm);   /* running or paused -> stopped: power off */
/* Created or stopped. Every frame is scrubbed and free again; `vm` is gone. */
must_check int manage_destroy(struct vm *vm);

must_check int manage_set_weight(struct vm *vm, unsigned weight); /* 1 to 1000 */
/* Moves its vCPU, also while it runs. */
must_check int manage_set_cpu(struct vm *vm, unsigned cpu);

/* Paused, created or stopped. All or nothing. */
must_check int manage_read(struct vm *vm, gpa_t from, void *buf, uint64_t len);
must_check int manage_write(struct vm *vm, gpa_t to, const void *buf, uint64_t len);

/* All that a vCPU's registers hold. */
struct manage_regs {
	uint64_t reg[REG_COUNT];
	struct vcpu_segment segment[SEG_COUNT];
};
/* Not while it runs: paused, created or stopped. */
must_check int manage_get_regs(struct vm *vm, struct manage_regs *r);
/* All but XCR0. */
must_check int manage_set_reg(struct vm *vm, enum vcpu_reg reg, uint64_t value);

/* An NMI, or a pulse on an interrupt line (0 to 15, not 2). Running or paused. */
must_check int manage_inject_nmi(struct vm *vm);
must_check int manage_inject_irq(struct vm *vm, unsigned irq);
