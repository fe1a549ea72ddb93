/*
 * Events that are delivered through a guest's IDT. Shared by core/ and the backends; knows no
 * interrupt chip. Source: Intel SDM Vol. 3A, "Interrupt and Exception Overview"; Vol. 3C, "Event
 * Injection".
 */
#pragma once

#include <crvm/compiler.h>

enum event_kind {
	EVENT_NONE,
	EVENT_EXTINT, /* external interrupt */
	EVENT_NMI,
	EVENT_EXCEPTION,      /* hardware exception */
	EVENT_SOFT_INT,	      /* INT n */
	EVENT_PRIV_EXCEPTION, /* INT1 */
	EVENT_SOFT_EXCEPTION, /* INT3, INTO */
};

struct event {
	uint8_t kind; /* enum event_kind */
	uint8_t vector;
	uint8_t has_error;
	uint8_t insn_len; /* of the instruction that raised a software event; else 0 */
	uint32_t error;
};
_Static_assert(sizeof(struct event) == 8, "struct vcpu_exit counts on it");

enum exception_vector {
	EXC_DE = 0,
	EXC_DB = 1,
	EXC_NMI = 2,
	EXC_BP = 3,
	EXC_OF = 4,
	EXC_BR = 5,
	EXC_UD = 6,
	EXC_NM = 7,
	EXC_DF = 8,
	EXC_TS = 10,
	EXC_NP = 11,
	EXC_SS = 12,
	EXC_GP = 13,
	EXC_PF = 14,
	EXC_MF = 16,
	EXC_AC = 17,
	EXC_MC = 18,
	EXC_XM = 19,
	EXC_VE = 20,
	EXC_CP = 21,
};
