/*
 * Child VMs (child.c, child_run.c): no PC around them; what they access beside their RAM is a
 * packet for the guest that made them, their parent. A child has no turn of its own: its parent's
 * vCPU lends it the CPU within HYPERCALL_VCPU_RESUME, so it runs where its parent does, in its
 * parent's share, and stands still when its parent does. Private to core/.
 */
#pragma once

#include <crvm/hypercall.h>

#include "vm.h"

#define CHILD_MEMORY_END (1ul << 32) /* guest-physical addresses are below */

/* Ports with a trap, as a device on the child's bus. */
struct child_port {
	struct device dev;
	struct child *child;
	const struct hypercall_trap *trap;
};

struct child {
	struct vm *vm, *parent;
	uint32_t parent_life; /* parent->life when it was made */
	bool broken;	      /* memory could not be added whole: it can only be destroyed */
	unsigned trap_count;
	struct hypercall_trap trap[HYPERCALL_TRAP_MAX];
	_Atomic uint64_t irqs[4]; /* vectors that wait, a bit each */
	struct irq_source irq;

	bool halted;	   /* in HLT */
	bool packet_ready; /* what it left for is in `packet`: */
	uint32_t packet_len;
	struct hypercall_packet packet;
	gpa_t out; /* where the parent wants it: RAM, if out_ok */
	bool out_ok;
	void *out_here; /* the same, if it is in one piece */

	struct child_port port[HYPERCALL_TRAP_MAX]; /* by their traps' numbers */
	/* What the parent answered to an INS, which takes it from `at` on. */
	struct {
		uint64_t port;
		uint32_t at, end;
		uint8_t bytes[HYPERCALL_STRING_MAX];
	} string;
};

/* Those that there are, by the number of their VM, which no other VM has. Boot CPU. */
extern struct vm *children[VM_MAX];

/*
 * Boot CPU's loop. Made for this parent; its number, from 1 on, is in *number. E_NOMEM. destroy
 * gives back every frame, scrubbed.
 */
must_check int child_create(struct vm *parent, unsigned *number);
void child_destroy(struct vm *vm);
/* The parent's child of that number, or NULL. Boot CPU's loop, or the parent's CPU. */
struct child *child_find(const struct vm *parent, uint64_t number);
/* Destroys those whose parent has ended or started anew; with `parent`, all of that one. Boot CPU's
 * loop. */
void child_reap(const struct vm *parent);

/* Boot CPU's loop, while the parent waits. E_INVAL, E_EXIST, E_NOMEM; E_BUSY: it has a vCPU. */
must_check int child_add_memory(struct child *c, uint64_t at, uint64_t size);
must_check int child_set_trap(struct child *c, const struct hypercall_trap *t);
must_check int child_add_vcpu(struct child *c, uint64_t entry, unsigned mode);

/* The parent's CPU, its vCPU loaded and out of the guest. */
must_check int child_resume(struct child *c, gpa_t out);
must_check int child_read_state(struct child *c, struct hypercall_state *s);
must_check int child_write_state(struct child *c, const struct hypercall_state *s);
must_check int child_interrupt(struct child *c, uint64_t vector);

/* child_run.c: what the scheduler, the run loop and vm_stop do otherwise for a child. */
extern const struct vm_child_ops child_ops;
/* Bytes of an I/O packet without data, and with those of a plain OUT. */
#define PACKET_IO_DATA	((uint32_t)offsetof(struct hypercall_packet, io.data))
#define PACKET_PLAIN_IO (PACKET_IO_DATA + 4)

/* c->packet, of which the first `len` bytes count, is what the vCPU leaves the guest for. */
static inline void child_packet(struct child *c, uint32_t kind, uint64_t key, uint64_t at,
				uint32_t len)
{
	c->packet.kind = kind;
	c->packet.key = key;
	c->packet.at = at;
	c->packet_len = len;
	c->packet_ready = true;
}

/* child_port.c: a trap's ports, before the vCPU is made; port I/O; the answer to a packet. */
must_check int child_port_add(struct child *c, unsigned trap);
enum exit_action child_port_exit(struct child *c, struct vm_vcpu *vv);
extern const struct vcpu_quick child_quick;
must_check int child_write_io(struct child *c, const struct hypercall_io *io);
