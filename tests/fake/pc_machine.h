/*
 * A VM's PC for host tests: core/pc.c with all devices, and stand-ins for what is around it: time,
 * timers, memory, the console's output, the vCPU's requests. Time goes on only when it is told to.
 * It knows no test framework.
 *
 *	pc_machine_reset();
 *	pc_machine.vm.config.disk[0] = ...;
 *	check(pc_machine_build() == OK);
 *	pc_out(0x43, 1, 0x34);
 *	pc_pass(1000000);
 */
#pragma once

#include "../../core/pc.h"
#include "../../core/vm.h"

#define PC_TEXT_MAX 4096u

extern struct pc_machine {
	struct vm vm;
	struct vm_vcpu vcpu;
	uint64_t now;	    /* ns since the VM was made */
	uint64_t ticks;	    /* what time_tsc_to_ns was given last */
	uint64_t wall;	    /* ns since 1970 when it was made */
	uint64_t frames;    /* free in the machine */
	unsigned taken;	    /* chunks of frames that the arena gave */
	bool no_memory;	    /* arena_alloc has none */
	unsigned requests;  /* calls of vcpu_request */
	unsigned set_count; /* calls of timer_set */
	unsigned rings;	    /* alarms that rang */
	unsigned resets, stops;
	char reason[128]; /* of the last of these */
	char text[PC_TEXT_MAX];
	unsigned text_len;	     /* bytes printed ever; the last PC_TEXT_MAX are there */
	uint8_t out[4096], in[4096]; /* the console's rings */
	struct vm_image module;	     /* what every boot module is */
} pc_machine;

/* A PC of 16 MiB with no disks and nothing configured, not built yet; time 0. */
void pc_machine_reset(void);
/* pc_build, and pc_reset as vm_power_on does. */
must_check int pc_machine_build(void);

uint64_t pc_in(uint16_t port, unsigned size);
void pc_out(uint16_t port, unsigned size, uint64_t value);

/* Goes on by `ns`; alarms ring in their order, at their time. */
void pc_pass(uint64_t ns);
/* How long until the next alarm; DEVICE_NEVER: none is set. */
uint64_t pc_next_alarm(void);

/* The CPU takes an interrupt, if there is one: its vector, or -1. */
int pc_take(void);
