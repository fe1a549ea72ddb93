/*
 * The backend's parts among each other. Private to vmx/.
 */
#pragma once

#include <crvm/mtrr.h>
#include <crvm/virt.h>

#include "controls.h"
#include "ept.h"
#include "tlb.h"

/* Chosen once from the boot CPU's capabilities. */
struct percpu;

struct vmx_config {
	struct vmx_caps caps;
	struct vmx_controls controls;
	struct mtrr mtrr;	   /* memory types for the EPT */
	unsigned preemption_shift; /* the timer counts TSC >> this (IA32_VMX_MISC) */
};
extern struct vmx_config vmx_config;

struct virt_vm {
	struct arena *arena;
	struct ept ept;
	uint16_t id;
	bool use_vpid;
	/* A page each: SDM Vol. 3C, "I/O-Bitmap Addresses", "MSR-Bitmap Address". 1: exits */
	uint8_t *io_bitmap;	       /* ports 0-7FFFh */
	const uint8_t *io_bitmap_high; /* 8000h-FFFFh, for all VMs the same */
	uint8_t *msr_bitmap;
};

/*
 * MSRs that the CPU does not switch and the host does not use: live while the vCPU is loaded.
 * Guests write them by exits, so virt_vcpu.msr has what they have; but for KERNEL_GS_BASE (SWAPGS).
 */
enum {
	SWITCHED_STAR,
	SWITCHED_LSTAR,
	SWITCHED_CSTAR,
	SWITCHED_FMASK,
	SWITCHED_KERNEL_GS_BASE,
	SWITCHED_TSC_AUX,
	SWITCHED_COUNT
};

#define VMX_QUICK_REASONS 64u

struct virt_vcpu {
	uint64_t host_rsp;  /* as the VMCS has it; entry.S knows offsets: see below */
	uint32_t launched;  /* VMRESUME, not VMLAUNCH */
	uint32_t loaded_on; /* physical CPU + 1; 0: not loaded */
	/* By basic exit reason: those that struct vcpu's quick handlers may take, else
	 * vmx_quick_not. */
	int (*quick[VMX_QUICK_REASONS])(struct vcpu *v, uint32_t reason);
	struct virt_vm *vm;
	hpa_t vmcs;
	uint32_t proc_ctls;		     /* as the VMCS has it */
	uint32_t bound_to;		     /* where the VMCS is active, as loaded_on */
	const struct vcpu_quick *quick_from; /* what `quick` was made from */
	struct vmx_tlb tlb;
	uint64_t msr[SWITCHED_COUNT];
	uint64_t dr[4]; /* as DR0 to DR3 should be, but while they are live and the vCPU loaded */
	bool msr_used;	/* one of `msr` but KERNEL_GS_BASE was not 0 */
	bool dr_live;	/* the guest uses them: MOV DR does not exit, they are switched */
	uint64_t dr6, cr2; /* of a vCPU that is not loaded */
	uint64_t cr8;
	bool halted;
};
_Static_assert(offsetof(struct virt_vcpu, host_rsp) == 0 &&
		       offsetof(struct virt_vcpu, launched) == 8 &&
		       offsetof(struct virt_vcpu, quick) == 16 && VMX_QUICK_REASONS == 64 &&
		       offsetof(struct vcpu, exit.insn_len) == 129 &&
		       offsetof(struct vcpu, virt) == 184 &&
		       offsetof(struct vcpu, quick_len) == 224 && QUICK_AGAIN == 0 &&
		       QUICK_NOT == -1 && QUICK_STAY == -2 && QUICK_PASS == -3,
	       "vmx/entry.S");

/* vm.c. Once, before the first VM: what all VMs have in common. E_NOMEM. */
int vmx_vm_setup(void);
int vmx_vm_init(struct virt_vm **out, struct arena *arena, uint16_t vm_id, bool use_vpid);
int vmx_nested_map(struct virt_vm *vm, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags);
int vmx_nested_protect(struct virt_vm *vm, gpa_t gpa, uint64_t len, unsigned flags);
int vmx_nested_query(const struct virt_vm *vm, gpa_t gpa, hpa_t *hpa, unsigned *flags,
		     uint64_t *page_size);
void vmx_nested_walk(const struct virt_vm *vm,
		     bool (*fn)(void *ctx, gpa_t gpa, hpa_t hpa, uint64_t len, unsigned flags),
		     void *ctx);
void vmx_intercept_port(struct virt_vm *vm, uint16_t port, bool exits);
void vmx_intercept_msr(struct virt_vm *vm, uint32_t msr, bool read_exits, bool write_exits);

/* entry.S. Answers quick exits itself. */
enum vmx_entered {
	VMX_EXITED,	  /* for a reason that is to be decoded */
	VMX_ENTRY_FAILED, /* VMLAUNCH or VMRESUME itself failed */
	VMX_LEFT,	  /* behind a quick exit: nothing is left to be done */
};
/* What came, and of which vCPU: another than `v` behind a QUICK_PASS. In RAX and RDX. */
struct vmx_stay {
	uint64_t how; /* enum vmx_entered */
	struct vcpu *v;
};
struct vmx_stay vmx_enter(struct vcpu *v, struct virt_vcpu *vv);
extern const uint8_t vmx_exit[]; /* HOST_RIP */

/* setup.c */
int vmx_vcpu_init(struct vcpu *v, struct virt_vm *vm, struct arena *arena);
void vmx_vcpu_reset(struct vcpu *v);
/* What is this CPU's of the host state. */
void vmx_write_host_cpu(const struct percpu *cpu);

/* switch.c */
void vmx_vcpu_load(struct vcpu *v);
void vmx_vcpu_unload(struct vcpu *v);
void vmx_vcpu_switch(struct vcpu *from, struct vcpu *to);
void vmx_flush_tlb(struct vcpu *v);
/* Whether the guest has DR0 to DR3 for itself. The vCPU is loaded. */
void vmx_debug_regs_live(struct virt_vcpu *vv, bool live);

/* regs.c */
uint64_t vmx_get_reg(struct vcpu *v, enum vcpu_reg reg);
void vmx_set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value);
void vmx_get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s);
void vmx_set_segment(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s);

/* setup.c: bits of CR0 and CR4 that VMX or the host keeps at 1, at 0; MSRs that this CPU has. */
uint64_t vmx_cr0_always(void);
uint64_t vmx_cr0_never(void);
uint64_t vmx_cr4_always(void);
bool vmx_msr_live(uint32_t msr);

/* run.c */
struct vcpu *vmx_run(struct vcpu *v);
/* From entry.S, behind a QUICK_PASS: whom to enter now; NULL: run() is over. */
struct vcpu *vmx_pass(struct vcpu *v);
void vmx_skip_insn(struct vcpu *v);
void vmx_quick_init(struct vcpu *v);
int vmx_quick_all(struct vcpu *v, uint32_t reason); /* entry.S */
int vmx_quick_fault(struct vcpu *v, uint32_t reason);

/* events.c */
/* Whether a #DB comes at the next entry, unless that injects something. */
bool vmx_debug_trap_waits(void);
bool vmx_can_take(struct vcpu *v, enum event_kind kind);
void vmx_inject(struct vcpu *v, const struct event *e);
void vmx_want_window(struct vcpu *v, enum event_kind kind, bool on);
/* The VMCS's encoding of an event, and back. */
uint32_t vmx_event_encode(const struct event *e);
struct event vmx_event_decode(uint32_t info, uint32_t error, uint32_t insn_len);

/* report.c */
void vmx_dump(struct vcpu *v);
unsigned vmx_selftest(struct vcpu *v, void (*line)(void *ctx, const char *text), void *ctx,
		      unsigned *wrong);
