/*
 * A virtual CPU as core/ and a backend share it, and why it left the guest. Knows no VMCS field, no
 * device.
 *
 * Ownership: only the physical CPU on which a vCPU is loaded touches anything here but `requests`.
 * Others set a request bit and kick.
 */
#pragma once

#include <stdatomic.h>
#include <crvm/addr.h>
#include <crvm/compiler.h>
#include <crvm/event.h>

enum vcpu_reg { /* the first 16 in the order of their numbers in instructions */
		REG_RAX,
		REG_RCX,
		REG_RDX,
		REG_RBX,
		REG_RSP,
		REG_RBP,
		REG_RSI,
		REG_RDI,
		REG_R8,
		REG_R9,
		REG_R10,
		REG_R11,
		REG_R12,
		REG_R13,
		REG_R14,
		REG_R15,
		REG_RIP,
		REG_RFLAGS,
		REG_CR0,
		REG_CR2,
		REG_CR3,
		REG_CR4,
		REG_CR8, /* as the guest sees them */
		REG_DR0,
		REG_DR1,
		REG_DR2,
		REG_DR3,
		REG_DR6,
		REG_DR7,
		REG_EFER,
		REG_PAT,
		REG_XCR0,
		REG_STAR,
		REG_LSTAR,
		REG_CSTAR,
		REG_FMASK,
		REG_KERNEL_GS_BASE,
		REG_TSC_AUX,
		REG_SYSENTER_CS,
		REG_SYSENTER_ESP,
		REG_SYSENTER_EIP,
		REG_GDTR_BASE,
		REG_GDTR_LIMIT,
		REG_IDTR_BASE,
		REG_IDTR_LIMIT,
		REG_PDPTE0,
		REG_PDPTE1,
		REG_PDPTE2,
		REG_PDPTE3,
		REG_TSC_OFFSET, /* added to the host's TSC for the guest */
		REG_INT_SHADOW, /* bit 0: blocking by STI, bit 1: by MOV SS, bit 3: by NMI */
		REG_HALTED,	/* 1: the vCPU waits in HLT */
		REG_COUNT
};

enum vcpu_segreg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct vcpu_segment {
	uint16_t selector;
	uint16_t attr;	/* bits 0-7: type, S, DPL, P; 12-15: AVL, L, D/B, G, as in a descriptor's
			   bits 40-55 */
	uint32_t limit; /* in bytes */
	uint64_t base;
	bool unusable;
};

/* Why the guest was left. The order is that of the counters and traces. */
#define EXIT_KINDS(X)                                                                          \
	X(NONE, "none")                                                                        \
	X(HOST_IRQ, "host interrupt") /* to be served by enabling interrupts */                \
	X(HOST_NMI, "host NMI")	      /* already handed to the host's handler */               \
	X(DEADLINE, "deadline")	      /* vcpu.deadline has passed */                           \
	X(IRQ_WINDOW, "interrupt window")                                                      \
	X(NMI_WINDOW, "NMI window")                                                            \
	X(PORT, "port I/O")                                                                    \
	X(NESTED_FAULT, "memory access") /* not mapped, or not so, in the nested page table */ \
	X(CPUID, "CPUID")                                                                      \
	X(RDMSR, "RDMSR")                                                                      \
	X(WRMSR, "WRMSR")                                                                      \
	X(HLT, "HLT")                                                                          \
	X(HYPERCALL, "hypercall")                                                              \
	X(CR_ACCESS, "control register")                                                       \
	X(XSETBV, "XSETBV")                                                                    \
	X(CACHE, "INVD/WBINVD")                                                                \
	X(PAUSE, "PAUSE")                                                                      \
	X(UNDEFINED, "hidden instruction")     /* one that this machine does not have: #UD */  \
	X(PRIVILEGED, "forbidden instruction") /* RDPMC and its like: #GP */                   \
	X(EXCEPTION, "exception")                                                              \
	X(TASK_SWITCH, "task switch")                                                          \
	X(SHUTDOWN, "triple fault")                                                            \
	X(ENTRY_FAILED, "failed VM entry")                                                     \
	X(UNKNOWN, "unknown exit")

enum exit_kind {
#define X(name, text) EXIT_##name,
	EXIT_KINDS(X)
#undef X
		EXIT_KIND_COUNT
};

enum fault_access { FAULT_READ = 1, FAULT_WRITE = 2, FAULT_EXEC = 4 };

struct vcpu_exit {
	uint8_t kind;	   /* enum exit_kind */
	uint8_t insn_len;  /* instruction exits: bytes to skip */
	uint16_t raw;	   /* the backend's reason, for traces only */
	uint32_t raw_info; /* likewise */
	/* Was being delivered when the exit came and must be delivered again; kind EVENT_NONE:
	 * nothing. */
	struct event interrupted;
	union {
		struct {
			uint16_t port;
			uint8_t size; /* 1, 2, 4 */
			bool in, string, rep;
			uint8_t addr_size; /* string: 2, 4, 8 bytes */
			uint8_t segment;   /* string: enum vcpu_segreg of OUTS */
			uint64_t linear;   /* string: linear address of the first access */
		} port;
		struct {
			uint64_t gpa;
			uint64_t linear;
			bool linear_valid;
			bool page_walk;	 /* the access was to a guest paging structure */
			uint8_t access;	 /* enum fault_access: what was tried */
			uint8_t allowed; /* what the nested page table permits there */
			bool misconfig;	 /* the nested page table is broken: the hypervisor is wrong
					  */
			/* If has_regs: RIP, CR3, and whether it is 64-bit mode. */
			bool has_regs, mode_64;
			uint64_t rip, cr3;
		} fault;
		struct {
			uint8_t cr;	/* 0, 3, 4, 8 */
			uint8_t gpr;	/* MOV: number of the register */
			uint8_t access; /* 0 MOV to CR, 1 MOV from CR, 2 CLTS, 3 LMSW */
			uint16_t lmsw_source;
		} cr;
		struct {
			struct event event;
			uint64_t qualification; /* #PF: linear address; #DB: as DR6 */
		} exception;
		struct {
			uint32_t instruction_error; /* 0: the guest state was refused */
			uint64_t qualification;
		} failed;
		struct {
			uint64_t qualification;
		} unknown;
	};
};
_Static_assert(sizeof(struct vcpu_exit) <= 64, "one cache line");

/* Set by anyone, with smp_kick after it. */
enum vcpu_request {
	REQ_IRQ = 1u << 0, /* an interrupt chip may have a vector */
	REQ_NMI = 1u << 1,
	REQ_STOP = 1u << 2,  /* leave the run loop */
	REQ_FLUSH = 1u << 3, /* the nested page table lost permissions: flush before entry */
};

struct virt_vcpu; /* the backend's part */
struct virt_vm;
struct vm;
struct vcpu;

/*
 * Exits that core answers within run(), so that the way there and back is short: by exit kind, NULL
 * for those that always return. `raw` is what exit.raw would be. Of v->exit
 * nothing is set but exit.fault for NESTED_FAULT, which sets quick_len if it is done, and comes
 * only with a linear address, not from a page walk, not for an instruction fetch, and with nothing
 * interrupted. HYPERCALL comes from CPL 0 only; ports come without strings. Handlers find RAX, RCX,
 * RDX, RBX, RSI, RDI and R8 to R11 of the guest in v->gpr; that of NESTED_FAULT finds all. A
 * backend need not call them.
 */
enum quick_result {
	QUICK_AGAIN = 0, /* done: past the instruction and on */
	QUICK_LEAVE = 1, /* or more; done: past the instruction; run() returns EXIT_NONE */
	QUICK_NOT = -1,	 /* nothing was done: run() returns with this exit */
	QUICK_STAY = -2, /* done, but RIP stays; run() returns EXIT_NONE */
	QUICK_PASS = -3, /* done; past the instruction; then as `pass` says */
};
struct vcpu_quick {
	int (*handler[EXIT_KIND_COUNT])(struct vcpu *v, uint32_t raw);
	int (*port_in)(struct vcpu *v, uint64_t port, uint64_t size);
	int (*port_out)(struct vcpu *v, uint64_t port, uint64_t size);
	/*
	 * The vCPU that goes on in the place of `v`, switched to already, with a deadline and
	 * nothing that waits for it; NULL: there is none, and run() returns EXIT_NONE.
	 */
	struct vcpu *(*pass)(struct vcpu *v);
};

struct vcpu {
	uint64_t gpr[16]; /* valid outside the guest; gpr[REG_RSP] is not used: get_reg(REG_RSP) */
	struct vcpu_exit exit;
	struct virt_vcpu *virt;
	uint64_t deadline; /* leave the guest when the TSC reaches it; ~0: never */
	_Atomic uint32_t requests;
	uint32_t id; /* within the VM, from 0 */
	struct vm *vm;
	const struct vcpu_quick *quick; /* may change between two runs; NULL: none */
	uint64_t quick_len;		/* bytes to skip after a quick exit */
};
