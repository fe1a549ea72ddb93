/*
 * The seam between core/ and a backend (vmx/, tests/fake/). core/ calls it; a backend fills it in
 * and names no device and no VM.
 */
#pragma once

#include <crvm/arena.h>
#include <crvm/feature.h>
#include <crvm/vcpu.h>
#include <crvm/verdict.h>

enum nested_flags { NESTED_R = 1, NESTED_W = 2, NESTED_X = 4, NESTED_RWX = 7 };

/* What a backend has on some CPUs only. */
enum virt_feature {
	VIRT_RDTSCP,
	VIRT_TSC_OFFSET,
	VIRT_DEADLINE, /* run() itself ends at vcpu.deadline; else an interrupt must */
};

struct virt_backend {
	const char *name; /* "Intel VMX" */

	/*
	 * Once, on the boot CPU: reads what the CPU offers; what it lacks goes to the verdict.
	 * Changes nothing but an unlocked IA32_FEATURE_CONTROL, which it enables and locks. May run
	 * with no VMX. Bit n of `without`: be as on a CPU that lacks enum virt_feature n.
	 */
	void (*probe)(unsigned without, struct verdict *v);

	/* After probe: rows for the table of what the machine has. */
	const struct feature *(*features)(unsigned *count);

	/* After a probe without verdict. */
	bool (*offers)(enum virt_feature feature);

	/* On each CPU, after a probe without verdict: enters VMX operation. 0, or E_IO with a
	 * verdict item. */
	int (*cpu_enable)(unsigned cpu, struct verdict *v);

	/* On a CPU where cpu_enable succeeded: leaves VMX operation. */
	void (*cpu_disable)(unsigned cpu);

	/*
	 * A VM's share: empty nested page table, every port and MSR intercepted. All memory comes
	 * from the arena and goes with it. `use_vpid`: tag TLB entries, if the CPU can. E_NOMEM.
	 */
	int (*vm_init)(struct virt_vm **vm, struct arena *arena, uint16_t vm_id, bool use_vpid);

	/*
	 * The nested page table, before the VM runs or with all its vCPUs out of the guest. gpa,
	 * hpa and len are multiples of PAGE_SIZE; the largest pages that alignment allows are used.
	 * map: E_EXIST over what is mapped, E_NOMEM, E_INVAL. protect: E_NOENT where nothing is
	 * mapped. After losing permissions each vCPU needs flush_tlb before it enters again.
	 */
	int (*nested_map)(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags);
	int (*nested_protect)(struct virt_vm *vm, gpa_t gpa, uint64_t len, unsigned flags);
	int (*nested_query)(const struct virt_vm *vm, gpa_t gpa, hpa_t *hpa, unsigned *flags,
			    uint64_t *page_size);
	/* Calls fn for every mapped page, in rising order, until it returns false. */
	void (*nested_walk)(const struct virt_vm *vm,
			    bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len,
				       unsigned flags),
			    void *ctx);

	/*
	 * Whether accesses leave the guest (they do at first). For ports that cost nothing, and
	 * MSRs that are switched. Those from port 8000h on leave it always.
	 */
	void (*intercept_port)(struct virt_vm *vm, uint16_t port, bool exits);
	void (*intercept_msr)(struct virt_vm *vm, uint32_t msr, bool read_exits, bool write_exits);

	/* v->virt and the registers at power-on or INIT (SDM Vol. 3A, "Processor State After
	 * Reset"). */
	int (*vcpu_init)(struct vcpu *v, struct virt_vm *vm, struct arena *arena);
	void (*vcpu_reset)(struct vcpu *v);

	/*
	 * Makes a vCPU current on this physical CPU, with its MSRs and debug registers; nothing
	 * else below works without. Unload writes everything back, so that another CPU may load it.
	 * The FPU is core's.
	 *
	 * switch is shorter: `to` takes the place of `from`, which stays bound to this CPU. Until
	 * it is unloaded, it can be loaded here only, and its memory must stay. Unload does nothing
	 * to a vCPU that is bound to no CPU.
	 */
	void (*vcpu_load)(struct vcpu *v);
	void (*vcpu_unload)(struct vcpu *v);
	void (*vcpu_switch)(struct vcpu *from, struct vcpu *to);

	/*
	 * Enters the guest and fills exit of the vCPU that it returns: `v`, or one that
	 * vcpu_quick.pass has put in its place. Host interrupts off; comes back at once if one is
	 * pending.
	 */
	struct vcpu *(*run)(struct vcpu *v);

	uint64_t (*get_reg)(struct vcpu *v, enum vcpu_reg reg);
	/* No checks beyond what keeps VM entry possible: those of the architecture are core's. */
	void (*set_reg)(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
	void (*get_segment)(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s);
	void (*set_segment)(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s);

	/* EVENT_EXTINT or EVENT_NMI: whether the guest would accept one now. */
	bool (*can_take)(struct vcpu *v, enum event_kind kind);
	/* Delivers at the next entry; one at a time. */
	void (*inject)(struct vcpu *v, const struct event *e);
	/* Leave the guest (IRQ_WINDOW, NMI_WINDOW) once can_take would be true. */
	void (*want_window)(struct vcpu *v, enum event_kind kind, bool on);

	/*
	 * Past the instruction that exited: RIP, the STI and MOV SS shadow, RF; a single step (TF)
	 * that it completes becomes a pending #DB.
	 */
	void (*skip_insn)(struct vcpu *v);

	void (*flush_tlb)(struct vcpu *v);

	/* Everything known of it, to the log; after ENTRY_FAILED also the rule that was broken. */
	void (*dump)(struct vcpu *v);

	/*
	 * Enters a loaded vCPU (which is of no use afterwards) with many deliberate mistakes, one
	 * after the other, and compares what the dump would name with what is wrong; a line for
	 * each. Returns how many were tried. May be NULL.
	 */
	unsigned (*selftest)(struct vcpu *v, void (*line)(void *ctx, const char *text), void *ctx,
			     unsigned *wrong);
};

extern const struct virt_backend vmx_backend;
