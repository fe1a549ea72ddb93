/*
 * A backend for host tests: an implementer of struct virt_backend without a CPU (backend.c,
 *backend_nested.c). A test scripts what the guest does; the fake keeps registers, models
 *interruptibility and delivery, and checks its caller: a broken rule of the contract is a panic
 *(see panic.h). It knows no test framework.
 *
 *	fake_backend_reset();
 *	fake_backend.vm_init(&vm, NULL, 1, true);
 *	fake_backend.vcpu_init(&v, vm, NULL);
 *	fake_backend.vcpu_load(&v);
 *	fake_push_exit(&v, &(struct vcpu_exit){.kind = EXIT_CPUID, .insn_len = 2});
 *	fake_backend.run(&v);
 */
#pragma once

#include <crvm/virt.h>

#define FAKE_VM_MAX	    4u
#define FAKE_VCPU_MAX	    16u
#define FAKE_EXTENT_MAX	    256u
#define FAKE_TLB_SIZE	    64u
#define FAKE_SCRIPT_MAX	    64u
#define FAKE_DELIVERIES_MAX 1024u
#define FAKE_FRAMES_MAX	    32u
#define FAKE_MSR_MAX	    64u

extern const struct virt_backend fake_backend;

extern unsigned fake_cpu;	 /* the physical CPU that calls; tests change it */
extern uint64_t fake_tsc;	 /* one tick for each guest instruction */
extern unsigned fake_fail_after; /* n: the nth call that could give E_NOMEM does; 0: none */
extern uint64_t fake_bad_cpus;	 /* a bit for each CPU on which cpu_enable fails */

/* Forgets everything. Before each test. */
void fake_backend_reset(void);
/* As a CPU without VMX-preemption timer; false after a reset. */
extern bool fake_backend_lacks_deadline;

struct virt_vm {
	uint16_t id;
	bool use_vpid;
	unsigned in_guest; /* vCPUs that run now */
	unsigned extent_count;
	struct fake_extent {
		uint64_t gpa, hpa, len;
		unsigned flags;
	} extent[FAKE_EXTENT_MAX];	/* sorted, disjoint */
	uint8_t port_passes[65536 / 8]; /* a bit for each port that does not exit */
	unsigned msr_count;
	struct {
		uint32_t msr;
		bool read_exits, write_exits;
	} msr[FAKE_MSR_MAX]; /* those ever named; the others exit */
};

/* An event that reached the guest. */
struct fake_delivery {
	struct event event;
	uint64_t rip;	 /* pushed: where the handler returns to */
	uint64_t rflags; /* pushed */
	uint64_t tsc;
};

struct virt_vcpu {
	struct virt_vm *vm;
	bool loaded, bound, in_guest, skipped;
	unsigned cpu; /* where it is loaded */
	uint64_t reg[REG_COUNT];
	struct vcpu_segment segment[SEG_COUNT];

	struct event injected; /* to be delivered by the next run */
	bool irq_window, nmi_window;
	bool pending_db;     /* single step that skip_insn completed */
	bool host_irq;	     /* fake_kick */
	bool shadow_is_new;  /* the instruction just executed began it */
	bool break_delivery; /* fake_break_delivery */
	struct vcpu_exit break_exit;

	struct vcpu_exit script[FAKE_SCRIPT_MAX];
	unsigned script_head, script_count;
	bool (*insn)(struct vcpu *v, void *ctx);
	void *insn_ctx;

	struct fake_delivery
		delivery[FAKE_DELIVERIES_MAX]; /* a ring: number n at n % FAKE_DELIVERIES_MAX */
	unsigned delivery_count;	       /* ever */
	struct fake_delivery frame[FAKE_FRAMES_MAX]; /* handlers that have not returned */
	unsigned frame_count;

	struct {
		uint64_t gpa, hpa;
		unsigned flags; /* 0: unused */
	} tlb[FAKE_TLB_SIZE];
	unsigned tlb_next;

	unsigned run_count, window_count, flush_count, dump_count; /* calls */
};

/* The next instruction exits so. A pushed exit comes before what fake_set_guest would execute. */
void fake_push_exit(struct vcpu *v, const struct vcpu_exit *e);

/*
 * Guest code: each call executes one instruction, one byte long unless it sets RIP. True: it exits,
 * and v->exit is filled.
 */
void fake_set_guest(struct vcpu *v, bool (*insn)(struct vcpu *v, void *ctx), void *ctx);

/* The next delivery of an injected event does not finish: it exits so, with `interrupted` filled
 * in. */
void fake_break_delivery(struct vcpu *v, const struct vcpu_exit *e);

/* A host interrupt is pending where the vCPU runs: the current or the next run exits, after
 * delivery. */
void fake_kick(struct vcpu *v);

/* The nth event ever delivered; it must be one of the last FAKE_DELIVERIES_MAX. */
const struct fake_delivery *fake_delivered(const struct vcpu *v, unsigned n);

/* For use in guest code. IRET without a handler only ends NMI blocking. */
void fake_guest_sti(struct vcpu *v);
void fake_guest_cli(struct vcpu *v);
void fake_guest_mov_ss(struct vcpu *v);
void fake_guest_iret(struct vcpu *v);
/* `access`: enum fault_access. False: v->exit is the NESTED_FAULT. */
bool fake_guest_touch(struct vcpu *v, gpa_t gpa, unsigned access);

bool fake_port_exits(const struct virt_vm *vm, uint16_t port);
bool fake_msr_exits(const struct virt_vm *vm, uint32_t msr, bool write);

/* backend_nested.c, for backend.c. */
bool fake_out_of_memory(void);
int fake_nested_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags);
int fake_nested_protect(struct virt_vm *vm, gpa_t gpa, uint64_t len, unsigned flags);
int fake_nested_query(const struct virt_vm *vm, gpa_t gpa, hpa_t *hpa, unsigned *flags,
		      uint64_t *page_size);
void fake_nested_walk(const struct virt_vm *vm,
		      bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags),
		      void *ctx);
void fake_intercept_port(struct virt_vm *vm, uint16_t port, bool exits);
void fake_intercept_msr(struct virt_vm *vm, uint32_t msr, bool read_exits, bool write_exits);
void fake_tlb_check(const struct vcpu *v);
