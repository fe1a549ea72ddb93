/*
 * Virtual machines as core/ keeps them. Private to core/.
 */
#pragma once

#include <crvm/arena.h>
#include <crvm/cpuid_policy.h>
#include <crvm/emulate.h>
#include <crvm/exit_stats.h>
#include <crvm/gmem.h>
#include <crvm/inject.h>
#include <crvm/io_bus.h>
#include <crvm/msr_policy.h>
#include <crvm/percpu.h>
#include <crvm/trace.h>
#include <crvm/vcpu.h>

#include "fair.h"
#include "vm_config.h"
#include "vm_console.h"

#define VM_MAX 64u

#define VM_CHILD_MAX 8u /* children of one VM: child.h */

enum vm_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_STOPPED };

/* What the run loop does after an exit. */
enum exit_action {
	ACT_NEXT,  /* past the instruction, then on */
	ACT_RETRY, /* on, at the same instruction */
	ACT_BLOCK, /* past the instruction; the vCPU sleeps until an event comes */
	ACT_STOP,  /* the VM has been stopped */
	ACT_WAIT,  /* past the instruction; no turn until what it waits for is done */
	ACT_HOLD,  /* no turn likewise, then the same instruction again */
};

/* A hypercall whose caller waits while the boot CPU does it. */
enum vm_call_state { CALL_NONE, CALL_ASKED, CALL_BEGUN, CALL_DONE };

/* A vCPU with all that core/ keeps of it; struct vcpu is what the backend sees. */
struct vm_vcpu {
	struct vcpu v;
	enum exit_action (*exit)(
		struct vm_vcpu *vv); /* answers v.exit: exit_handle, but for children */
	struct event_queue events;
	struct percpu *_Atomic cpu; /* where it runs */
	struct fair_member fair;    /* of that CPU's queue */
	bool blocked;		    /* waits: in HLT, for its call, for its guest; its CPU only */
	_Atomic bool stopped;	    /* until its VM is powered on */
	bool paused;		    /* does not run, its VM's time stands still; its CPU only */
	bool bound;		    /* to its CPU (virt.h), and in sched.c's list of these */
	struct vm_vcpu *next_bound;
	uint64_t ran_ticks; /* TSC ticks that it has had of its CPU */
	uint64_t xcr0;
	struct msr_ctx msr;
	uint8_t *fpu;
	uint64_t first_tsc;   /* of the first entry; 0: none yet */
	uint32_t quick_ticks; /* quick exits leave run() after so many TSC ticks, */
	uint32_t quick_start; /* the TSC's low half when the present one began */
	uint32_t quick_until; /* when the TSC's low half reaches this */
	struct exit_stats stats;
	struct trace_ring *trace; /* of `cpu` */
	struct emu_cache emu;
	struct emu_env emu_env;
	_Atomic uint32_t call; /* enum vm_call_state */
	int64_t call_result;   /* CALL_DONE */
	struct vm_vcpu *guest; /* a child's vCPU, which has its turns; its CPU only */
	struct vm_vcpu *host;  /* a child's: whose turns it has; NULL: it is no child's */
};

/* Bytes of a boot module; they stay where they are. */
struct vm_image {
	const void *data;
	uint64_t len;
};

struct pc;
struct child;

/* What a VM without a PC (child.h) does otherwise. On the CPU of its parent. */
struct vm_child_ops {
	enum exit_action (*exit)(struct vm_vcpu *vv);
	/* Loaded, before turns in the place of `parent`. */
	void (*begin)(struct vm_vcpu *vv, struct vm_vcpu *parent);
	/* After each, and if there is to be none: the parent may have reason to go on. */
	void (*end)(struct vm_vcpu *vv, struct vm_vcpu *parent);
	/* What vm_stop says. */
	void (*stopped)(struct vm *vm, const char *why);
};

struct shared_region;

/* A VM's part in memory that it shares: shared.h. */
struct vm_shared {
	struct vm *vm;
	struct shared_region *region;
	struct vm_shared *next; /* of the region's */
	int irq;		/* the line that rings raise; -1: none */
	_Atomic uint32_t rings; /* that the guest has not asked about yet */
};

struct vm {
	char name[VM_NAME_MAX];
	uint16_t id;
	_Atomic uint32_t state; /* enum vm_state */
	struct vm_config config;
	struct vm_image own; /* the module on whose command line it is configured, if any */
	struct arena arena;
	struct gmem mem;
	struct io_bus ports, mmio;
	struct cpuid_policy cpuid;
	struct virt_vm *virt;
	struct vm_vcpu *vcpu; /* config.cpus of them */
	struct pc *pc;
	unsigned shared_count; /* config.shared_count, once it is made */
	struct vm_shared shared[VM_SHARED_COUNT_MAX];
	struct vm_console console; /* see mux.h */
	uint64_t zero_tsc;	   /* when it was made: its devices' time is 0 */
	uint64_t paused_tsc;	   /* since when its time stands still; 0: it runs */
	bool again;		   /* it is to be powered on again; its CPU only */
	unsigned restarts;	   /* since restart_tsc */
	uint64_t restart_tsc;
	uint64_t mux_printed; /* mux.c: what it had printed */
	uint64_t mux_since;   /* at this time */
	int exit_code;	      /* written to the debug-exit port; -1: none */
	/* Hypercalls but the first two; NULL: there are none. */
	enum exit_action (*hypercall)(struct vm_vcpu *vv);
	bool (*hypercall_at_once)(struct vm_vcpu *vv);
	const struct vm_child_ops *child_ops; /* NULL: it has a PC */
	struct child *child;		      /* likewise; in its own arena */
	struct vm *children[VM_CHILD_MAX];    /* boot CPU's loop changes it, while no vCPU runs */
	uint32_t life;			      /* how often it was powered on */
};

/* Powered on: its vCPU is in a CPU's queue, running or not. Any CPU; it may end by itself at any
 * time. */
static inline bool vm_is_on(const struct vm *vm)
{
	const uint32_t state = atomic_load(&vm->state);

	return state == VM_RUNNING || state == VM_PAUSED;
}

static inline struct vm_vcpu *vm_vcpu_of(struct vcpu *v)
{
	return container_of(v, struct vm_vcpu, v);
}

/* Those that there are: vms[0] to vms[vm_count - 1], of which some may be NULL. Boot CPU. */
extern struct vm *vms[VM_MAX];
extern unsigned vm_count;

/*
 * Creates a VM from its configuration. `own` is the module on whose command line that was, if any.
 * E_NOMEM, E_INVAL, E_NOENT with a log line. Boot CPU, no vCPU loaded there. `out` may be NULL.
 */
must_check int vm_create(const struct vm_config *config, const struct vm_image *own,
			 struct vm **out);
/* Powers it on, on the CPU where it will run; a log line if it fails. Boot CPU, with no lock held.
 */
must_check int vm_start(struct vm *vm);
/* Between these two nobody says that all VMs have stopped: while several are started. `any`: one
 * was.
 */
void vm_hold(void);
void vm_unhold(bool any);
/* Powers it off. On its CPU, with none of its vCPUs in the guest. */
void vm_off(struct vm *vm);
/* Its time goes on where it stood (paused_tsc). On its CPU, likewise. */
void vm_time_resume(struct vm *vm);
/* Gives all its memory back, scrubbed. It is off; boot CPU. */
void vm_destroy(struct vm *vm);
/* vm_parts.c: how making one begins. A number that no VM has; VM_MAX: there is none. */
unsigned vm_free_slot(void);
/* A VM with that number, in an arena of its own; NULL: there is no memory. */
struct vm *vm_alloc(unsigned slot);
/* Memory for the VM, with enum nested_flags; before it runs. E_NOMEM, E_EXIST. */
must_check int vm_map(struct vm *vm, uint64_t at, void *host, uint64_t len, unsigned flags);
/*
 * Parts of these, for VMs without a PC: the VM's share of the backend, and what CPUID says; its
 * vCPU; that as at power-on, which stays loaded, with interrupts off.
 */
must_check int vm_build_bare(struct vm *vm);
must_check int vm_build_vcpu(struct vm *vm);
void vm_power_on_vcpu(struct vm_vcpu *vv, const struct irq_source *irq);
/* Everything as at power-on. On its CPU, with none of its vCPUs in the guest. */
must_check int vm_power_on(struct vm *vm);
/*
 * Ends a VM: a log line, and a dump if `dump`. Its policy may start it again after a dump, which is
 * of a crash. On the CPU of one of its vCPUs, also with a device's lock held.
 */
void vm_stop(struct vm_vcpu *vv, bool dump, const char *fmt, ...) printf_like(3, 4);
/* The guest has reset its machine: on again, if its policy is so. As vm_stop. */
void vm_reset(struct vm *vm, const char *why);
/* From the scheduler, once a stopped VM's vCPU is unloaded: the rest of vm_stop and vm_reset. */
void vm_ended(struct vm *vm);

/* vms.c: creates and starts all VMs that the boot modules configure. */
void vms_start(void);
/* Creates those of a configuration text; how many sections were good. */
unsigned vms_create(const char *text, size_t len, struct vm_config_sink *sink);
/* Starts those that were created and want it. */
void vms_autostart(void);
/* The boot module of that name (the first word of its command line); NULL data: there is none. */
struct vm_image vms_module(const char *name);

/* vm_audit.c: whether every VM maps its own memory only; says what it found. */
bool vm_audit(void);

/* selftest.c: makes VM entry fail in every way that the backend knows, and says whether it was told
 * right. */
void selftest(void);

/* exits.c: answers v->exit. */
enum exit_action exit_handle(struct vm_vcpu *vv);

/* sched.c */
void sched_add(struct vm_vcpu *vv, struct percpu *cpu);
/* On its CPU. */
void sched_remove(struct vm_vcpu *vv);
/* Runs this CPU's vCPUs until one slice is over or there is other work; false if none could run. */
bool sched_run(void);
/* Asks something of a vCPU (enum vcpu_request), wherever it runs or sleeps. Any CPU. */
void vcpu_request(struct vm_vcpu *vv, uint32_t requests);
/* Loads a vCPU of this CPU, in the place of another. Interrupts off. */
void sched_load(struct vm_vcpu *vv);
/* Unloads what is loaded on this CPU, and binds none to it any more. */
void sched_unload(void);
/*
 * Between a vCPU and its guest the turn goes to and fro without asking who is next: the other of
 * the two, loaded; NULL: there is no more to be done in this turn.
 */
struct vm_vcpu *sched_pass(struct vm_vcpu *turn);
/* The same as vcpu_quick.pass. */
struct vcpu *sched_pass_quick(struct vcpu *turn);
/* The vCPU that runs here gives up the rest of its slice. */
void sched_yield(void);

/* trace_rings.c. This CPU's ring, made if need be. */
struct trace_ring *trace_ring_here(void);
/* To the console: `max` records of each CPU, for scripts/trace-decode. */
void trace_dump_all(uint64_t max);
/* This CPU's last records for people, in a panic. */
void trace_tail(unsigned count);
/* Whether quick exits are recorded too; looked at when a time slice begins. */
extern atomic_bool trace_quick_exits;

/* hypercall.c: all but the first two. */
enum exit_action hypercall_exit(struct vm_vcpu *vv);
/* Those that are done at once; false: it is none of these. `guest` may be set afterwards. */
bool hypercall_at_once(struct vm_vcpu *vv);
/* WORK_HYPERCALL came: carries out what vCPUs wait for. Boot CPU's loop. */
void hypercall_work(void);

/* quick.c: exits that are answered within run(). */
extern const struct vcpu_quick vcpu_quick, vcpu_quick_traced;

/* run.c: until the deadline passes, the vCPU blocks or stops, or this CPU has other work. */
void vcpu_step(struct vm_vcpu *vv);
/* Loaded and in HLT: takes the requests; true if none of what waits ends HLT. */
bool vcpu_sleeps(struct vm_vcpu *vv);
