/*
 * VMs for tests of core's run loop and exit handlers: what vm_create makes, on the fake backend, in
 * memory between forbidden pages; and stand-ins for the functions of core/ and arch/ that surround
 * the loop. The fake is given what it leaves open: EFER.LMA follows LME and CR0.PG, skip_insn takes
 * the single step within REP, and quick exits are offered to v->quick as run()'s contract says. It
 * knows no test framework.
 */
#pragma once

#include "../../core/machine.h"
#include "../../core/vm.h"
#include "backend.h"
#include "host_cpu.h"

#include <crvm/devices/debug.h>
#include <crvm/devices/testdev.h>

#define RUN_VM_MAX    FAKE_VM_MAX
#define RUN_RAM_SIZE  0x40000ul /* from 0 */
#define RUN_ROM	      0xf0000ul
#define RUN_ROM_SIZE  0x2000ul
#define RUN_HIGH      0x100000000ul
#define RUN_HIGH_SIZE 0x4000ul
#define RUN_PORT      0xe000u	   /* struct testdev */
#define RUN_MMIO      0xfed10000ul /* likewise */
#define RUN_CODE      0x1000ul	   /* where RIP is at first */

enum run_attr { /* of segments */
		RUN_CODE64 = 0xa09b,
		RUN_CODE32 = 0xc09b,
		RUN_CODE16 = 0x009b,
		RUN_DATA32 = 0xc093,
		RUN_DATA16 = 0x0093,
};

struct run_vm {
	struct vm vm;
	struct vm_vcpu vcpu;
	uint8_t *ram, *rom, *high;
	struct debug_device debug;
	struct testdev test;
	/* An interrupt chip: vectors that wait, the highest first. */
	bool waits[256];
	unsigned acks;
	struct irq_source irq;
	/* What vm_stop was told. */
	unsigned stops;
	unsigned ended; /* calls of vm_ended */
	bool stop_dump;
	char stop_reason[256];
	/* What the guest wrote to the debug console, and its exit code. */
	char text[64];
	unsigned text_len;
	uint32_t exit_code;
	unsigned quick_count;	     /* exits that quick handlers answered */
	uint8_t fpu[64];	     /* never looked at */
	struct trace_record last[8]; /* the ring */
	struct trace_ring ring;
};

/* What fpu_* and timers have been asked, and answer. */
extern struct run_around {
	uint64_t xcr0_mask;   /* fpu_xcr0_mask */
	uint64_t xcr0;	      /* of the CPU */
	const uint8_t *fpu;   /* the area that is in the registers; NULL: none */
	unsigned saves;	      /* of it */
	uint64_t timer_next;  /* the earliest deadline */
	uint64_t timer_set;   /* what a timer was set to last; 0: none was */
	unsigned kicks;	      /* calls of smp_kick */
	uint64_t slice_ticks; /* what any time in ns is in ticks; half of it below 1 ms */
} run_around;

/* Forgets all VMs; the CPU is number `cpu`. */
void run_machine_reset(unsigned cpu);
/* One more VM, in real mode, its vCPU not loaded. */
struct run_vm *run_vm_new(void);

/* Flat segments, CPL 0; RIP stays. 64-bit: page tables in RAM from 0x38000 on, all identical up to
 * 5 GiB, in pages of 1 GiB. */
void run_mode_real(struct run_vm *m);
void run_mode_32(struct run_vm *m);
void run_mode_64(struct run_vm *m);

void run_raise_irq(struct run_vm *m, uint8_t vector);
