/*
 * Hypercalls, the ABI that guests use: VMCALL in ring 0 with the number in RAX and arguments in
 * RDI, RSI, RDX and RCX; the result, or a negative error number, comes back in RAX. Other registers
 * are kept. Plain C and assembly may include it, a guest's too: it needs no other header of CRVM's.
 * docs/hypercalls.md explains each call; numbers and layouts never change.
 *
 * Pointers are guest-physical addresses of the caller's RAM, or of what it shares. What is written
 * there is written whole or not at all.
 */
#pragma once

/* Any guest. */
#define HYPERCALL_IDENTIFY	0 /* returns HYPERCALL_SIGNATURE */
#define HYPERCALL_NOP		1 /* returns 0 */
#define HYPERCALL_VERSION	2 /* returns HYPERCALL_ABI */
#define HYPERCALL_CONSOLE_WRITE 3 /* (text, length): to the VM's console */
#define HYPERCALL_YIELD		4 /* gives up the rest of the time slice */
#define HYPERCALL_TIME		5 /* returns ns since the VM was made */
#define HYPERCALL_WALL_CLOCK	6 /* returns ns since 1970, UTC */

/* The same, on the shared regions of its configuration, by their places there, from 0 on. */
#define HYPERCALL_SHARED_DESCRIBE 7 /* (index, struct hypercall_shared *) */
#define HYPERCALL_DOORBELL	  8 /* (index): rings at its peers; returns at how many */
#define HYPERCALL_SHARED_RINGS	  9 /* (index): returns how often they have rung since the last */

/* VMs with `privileged = yes`. VMs are named by their number, from 1 on. */
#define HYPERCALL_VM_CREATE	16 /* (text, length) of a configuration; returns how many */
#define HYPERCALL_VM_START	17 /* (vm) */
#define HYPERCALL_VM_PAUSE	18 /* (vm) */
#define HYPERCALL_VM_RESUME	19 /* (vm) */
#define HYPERCALL_VM_RESET	20 /* (vm) */
#define HYPERCALL_VM_STOP	21 /* (vm) */
#define HYPERCALL_VM_DESTROY	22 /* (vm) */
#define HYPERCALL_VM_LIST	23 /* (uint32_t *numbers, room for so many); returns how many */
#define HYPERCALL_VM_DESCRIBE	24 /* (vm, struct hypercall_vm *) */
#define HYPERCALL_VM_SET_WEIGHT 25 /* (vm, weight) */
#define HYPERCALL_VM_SET_CPU	26 /* (vm, cpu) */
#define HYPERCALL_VM_READ	27 /* (vm, from, to, length): its memory, not while it runs */
#define HYPERCALL_VM_WRITE	28 /* (vm, to, from, length) */
#define HYPERCALL_VM_GET_REGS	29 /* (vm, struct hypercall_regs *): not while it runs */
#define HYPERCALL_VM_SET_REG	30 /* (vm, enum hypercall_reg, value) */
#define HYPERCALL_VM_INJECT_NMI 31 /* (vm) */
#define HYPERCALL_VM_INJECT_IRQ 32 /* (vm, line): 0 to 15, not 2 */
#define HYPERCALL_VM_STATISTICS 33 /* (vm, struct hypercall_statistics *) */

/* The same: VMs without devices, which a guest runs itself. */
#define HYPERCALL_GUEST_CREATE	   64 /* returns the child's number */
#define HYPERCALL_GUEST_DESTROY	   65 /* (child) */
#define HYPERCALL_GUEST_ADD_MEMORY 66 /* (child, at, size) */
#define HYPERCALL_GUEST_SET_TRAP   67 /* (child, const struct hypercall_trap *) */
#define HYPERCALL_GUEST_READ	   68 /* (child, from, to, length) */
#define HYPERCALL_GUEST_WRITE	   69 /* (child, to, from, length) */
#define HYPERCALL_VCPU_CREATE	   72 /* (child, entry, enum hypercall_mode) */
#define HYPERCALL_VCPU_RESUME	   73 /* (child, struct hypercall_packet *); returns its kind */
#define HYPERCALL_VCPU_READ_STATE  74 /* (child, struct hypercall_state *) */
#define HYPERCALL_VCPU_WRITE_STATE 75 /* (child, enum hypercall_write, pointer) */
#define HYPERCALL_VCPU_INTERRUPT   76 /* (child, vector); 2 is an NMI */

#define HYPERCALL_COUNT 77

#define HYPERCALL_SIGNATURE 0x4d565243 /* "CRVM" */
#define HYPERCALL_ABI	    1

#define HYPERCALL_LENGTH_MAX 4096 /* bytes that one call reads or writes */
#define HYPERCALL_STRING_MAX 512  /* bytes of INS or OUTS in one packet */

/* Results below 0. */
#define HYPERCALL_E_PERM  (-1)	/* not from ring 3; not from this VM */
#define HYPERCALL_E_NOENT (-2)	/* no such VM, child or region */
#define HYPERCALL_E_NOMEM (-12) /* no memory, or a table is full */
#define HYPERCALL_E_FAULT (-14) /* not all of it is RAM */
#define HYPERCALL_E_BUSY  (-16) /* wrong state for this call */
#define HYPERCALL_E_EXIST (-17) /* overlaps what is there */
#define HYPERCALL_E_NODEV (-19) /* no such CPU */
#define HYPERCALL_E_INVAL (-22) /* bad parameter */
#define HYPERCALL_E_NOSYS (-38) /* no such call */

#ifndef __ASSEMBLY__
#include <stdint.h>

struct hypercall_shared {
	char name[16];	  /* NUL-terminated */
	uint64_t address; /* guest-physical, the same in all peers */
	uint64_t size;	  /* in bytes */
	uint32_t peers;	  /* other VMs that share it and are running or paused */
	int32_t irq;	  /* the line that their rings raise here; -1: none */
};

enum hypercall_vm_state {
	HYPERCALL_VM_CREATED,
	HYPERCALL_VM_RUNNING,
	HYPERCALL_VM_PAUSED,
	HYPERCALL_VM_STOPPED,
};

struct hypercall_vm {
	char name[16]; /* NUL-terminated */
	uint32_t number;
	uint32_t state; /* enum hypercall_vm_state */
	uint64_t memory;
	uint32_t weight;
	int32_t cpu; /* where it runs; -1: it was never started */
	uint32_t vcpus;
	uint32_t flags; /* bit 0: privileged; bit 1: this is you */
};

enum hypercall_reg { /* the first 16 as instructions number them */
		     HYPERCALL_RAX,
		     HYPERCALL_RCX,
		     HYPERCALL_RDX,
		     HYPERCALL_RBX,
		     HYPERCALL_RSP,
		     HYPERCALL_RBP,
		     HYPERCALL_RSI,
		     HYPERCALL_RDI,
		     HYPERCALL_R8,
		     HYPERCALL_R15 = 15,
		     HYPERCALL_RIP,
		     HYPERCALL_RFLAGS,
		     HYPERCALL_CR0,
		     HYPERCALL_CR2,
		     HYPERCALL_CR3,
		     HYPERCALL_CR4,
		     HYPERCALL_EFER,
		     HYPERCALL_REG_COUNT
};

struct hypercall_segment {
	uint16_t selector;
	uint16_t attributes; /* as in bits 40 to 55 of a descriptor */
	uint32_t limit;	     /* in bytes */
	uint64_t base;
};

struct hypercall_regs {
	uint64_t reg[HYPERCALL_REG_COUNT]; /* enum hypercall_reg */
	uint64_t unused;
	struct hypercall_segment segment[8]; /* ES CS SS DS FS GS LDTR TR */
};

struct hypercall_statistics {
	uint64_t ran_ns; /* of a CPU */
	uint64_t exits;	 /* in all, and of these: */
	uint64_t port_exits, memory_exits, hlt_exits, hypercall_exits, irq_exits;
	uint64_t unused;
};

/* What a child's access becomes a packet for. */
enum hypercall_trap_kind {
	HYPERCALL_TRAP_BELL, /* memory writes that need no answer; pages */
	HYPERCALL_TRAP_MEM,  /* memory accesses; pages */
	HYPERCALL_TRAP_IO,   /* ports */
};
#define HYPERCALL_TRAP_MAX 32

struct hypercall_trap {
	uint32_t kind; /* enum hypercall_trap_kind */
	uint32_t unused;
	uint64_t at, size;
	uint64_t key; /* comes back in the packet */
};

enum hypercall_mode {
	HYPERCALL_MODE_REAL, /* CS = entry >> 4; entry 0: the reset vector */
	HYPERCALL_MODE_64,   /* paging on, its page table at 0 */
};

enum hypercall_packet_kind {
	HYPERCALL_PACKET_NONE, /* the caller has an interrupt to take: resume again */
	HYPERCALL_PACKET_BELL,
	HYPERCALL_PACKET_IO,
	HYPERCALL_PACKET_MEM,
	HYPERCALL_PACKET_HALT,	  /* the child waits for an interrupt */
	HYPERCALL_PACKET_STOPPED, /* it cannot go on; `text` says why */
};

/*
 * The child's RIP is past the instruction, but where a string (INS, OUTS) goes on: INS waits for
 * its answer. Of the packet only what its kind has is written.
 */
struct hypercall_packet {
	uint32_t kind; /* enum hypercall_packet_kind */
	uint32_t unused;
	uint64_t key;
	uint64_t at; /* the port; MEM, BELL: the guest-physical address */
	union {
		struct {
			uint8_t size;	/* 1, 2, 4 */
			uint8_t input;	/* 1: IN, INS; the answer is HYPERCALL_WRITE_IO */
			uint8_t string; /* 1: INS, OUTS */
			uint8_t unused;
			uint32_t count; /* of items: 1, but for strings */
			union {
				uint32_t data;			     /* OUT */
				uint8_t bytes[HYPERCALL_STRING_MAX]; /* OUTS */
			};
		} io;
		struct {
			uint8_t write;
			uint8_t length;	      /* of the instruction */
			uint8_t operand_size; /* that it has by default: 2 or 4 */
			uint8_t mode;	      /* of its addresses: 2, 4 or 8 bytes */
			uint8_t unused[4];
			uint8_t instruction[16];
		} mem;
		char text[104];
	};
};

struct hypercall_state {
	uint64_t gpr[16]; /* HYPERCALL_RAX to HYPERCALL_R15 */
	uint64_t rflags;  /* written: CF PF AF ZF SF DF OF only */
	uint64_t rip;	  /* read only */
};

enum hypercall_write {
	HYPERCALL_WRITE_STATE, /* struct hypercall_state */
	HYPERCALL_WRITE_IO,    /* struct hypercall_io */
};

/* What IN has read; or INS, up to as many items as the packet asks for: `count` of them are read.
 */
struct hypercall_io {
	uint32_t size; /* 1, 2, 4 */
	uint32_t count;
	union {
		uint32_t data;
		uint8_t bytes[HYPERCALL_STRING_MAX];
	};
};

_Static_assert(sizeof(struct hypercall_shared) == 40 && sizeof(struct hypercall_vm) == 48 &&
		       sizeof(struct hypercall_regs) == 320 &&
		       sizeof(struct hypercall_statistics) == 64 &&
		       sizeof(struct hypercall_trap) == 32 &&
		       sizeof(struct hypercall_packet) == 544 &&
		       sizeof(struct hypercall_state) == 144 && sizeof(struct hypercall_io) == 520,
	       "the ABI");

#ifdef __x86_64__
/* The call, for a guest in 64-bit mode: RAX as it comes back. */
static inline int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx,
				uint64_t rcx)
{
	int64_t result;

	__asm__ volatile("vmcall"
			 : "=a"(result)
			 : "a"(number), "D"(rdi), "S"(rsi), "d"(rdx), "c"(rcx)
			 : "memory");
	return result;
}
#endif
#endif
