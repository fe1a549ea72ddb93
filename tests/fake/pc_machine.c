/* See pc_machine.h. It must not know what the devices do. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <crvm/hostmap.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include <crvm/time.h>
#include <crvm/wallclock.h>
#include "../../core/mux.h"
#include "pc_machine.h"
#include "spinlock.h"

#define TIMER_MAX 8u
#define BLOCK_MAX 4096u
#define RINGS_MAX 4u /* of one alarm with no time going by */

struct pc_machine pc_machine;
uintptr_t direct_map_base;

static struct {
	struct timer *timer;
	uint64_t at;	/* ns */
	unsigned rings; /* without time going by */
} timers[TIMER_MAX];
static uint64_t last_left; /* what pc.c had converted last */

static void *blocks[BLOCK_MAX];
static unsigned block_count;

/* Time. The TSC is the host's; so it is left out of what pc.c makes of it. */

uint64_t time_tsc_to_ns(uint64_t tsc)
{
	pc_machine.ticks = tsc;
	return pc_machine.now;
}

uint64_t time_ns_to_tsc(uint64_t ns)
{
	last_left = ns;
	return ns;
}

uint64_t wallclock_unix_ns(void)
{
	return pc_machine.wall;
}

static unsigned timer_slot(const struct timer *t)
{
	unsigned i = 0;

	while (i < TIMER_MAX && timers[i].timer && timers[i].timer != t)
		i++;
	check(i < TIMER_MAX);
	return i;
}

void timer_set(struct timer *t, uint64_t deadline)
{
	unsigned i = timer_slot(t);

	(void)deadline;
	timers[i].timer = t;
	timers[i].at = pc_machine.now + last_left;
	t->node.queued = true;
	pc_machine.set_count++;
}

void timer_cancel(struct timer *t)
{
	t->node.queued = false;
}

static int first_timer(void)
{
	int first = -1;

	for (unsigned i = 0; i < TIMER_MAX && timers[i].timer; i++)
		if (timers[i].timer->node.queued && (first < 0 || timers[i].at < timers[first].at))
			first = (int)i;
	return first;
}

uint64_t pc_next_alarm(void)
{
	int i = first_timer();

	if (i < 0)
		return DEVICE_NEVER;
	return timers[i].at > pc_machine.now ? timers[i].at - pc_machine.now : 0;
}

void pc_pass(uint64_t ns)
{
	const uint64_t end = pc_machine.now + ns;
	int i;

	if (pc_machine.vm.paused_tsc) {
		check(first_timer() < 0);
		return; /* not for the VM */
	}
	while ((i = first_timer()) >= 0 && timers[i].at <= end) {
		if (timers[i].at > pc_machine.now) {
			pc_machine.now = timers[i].at;
			for (unsigned k = 0; k < TIMER_MAX; k++)
				timers[k].rings = 0;
		}
		if (++timers[i].rings > RINGS_MAX)
			panic("alarm %d rings again and again at %lu ns", i, pc_machine.now);
		timers[i].timer->node.queued = false;
		pc_machine.rings++;
		timers[i].timer->fn(timers[i].timer);
		check(fake_spin_held() == 0);
	}
	pc_machine.now = end;
}

/* Memory. */

static void *block_new(size_t size, size_t align)
{
	void *p = aligned_alloc(align < 16 ? 16 : align, align_up(size, align < 16 ? 16 : align));

	check(p && block_count < BLOCK_MAX);
	blocks[block_count++] = p;
	return memset(p, 0, size);
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
	(void)a;
	return pc_machine.no_memory ? NULL : block_new(size, align);
}

int arena_frames(struct arena *a, unsigned order, hpa_t *out)
{
	const size_t size = PAGE_SIZE << order;

	(void)a;
	if (pc_machine.frames < 1ul << order)
		return E_NOMEM;
	pc_machine.frames -= 1ul << order;
	pc_machine.taken++;
	*out = virt_to_phys(block_new(size, PAGE_SIZE));
	return OK;
}

uint64_t frames_count(frame_owner_t owner)
{
	check(owner == FRAME_FREE);
	return pc_machine.frames;
}

struct vm_image vms_module(const char *name)
{
	(void)name;
	return pc_machine.module;
}

/* What the PC tells the rest. */

void vcpu_request(struct vm_vcpu *vv, uint32_t requests)
{
	atomic_fetch_or(&vv->v.requests, requests);
	pc_machine.requests++;
}

void vm_reset(struct vm *vm, const char *why)
{
	check(vm == &pc_machine.vm);
	pc_machine.resets++;
	snprintf(pc_machine.reason, sizeof(pc_machine.reason), "%s", why);
}

void vm_stop(struct vm_vcpu *vv, bool dump, const char *fmt, ...)
{
	va_list ap;

	check(vv == &pc_machine.vcpu && !dump);
	va_start(ap, fmt);
	vsnprintf(pc_machine.reason, sizeof(pc_machine.reason), fmt, ap);
	va_end(ap);
	pc_machine.stops++;
}

void mux_put(struct vm *vm, uint8_t byte)
{
	check(vm == &pc_machine.vm);
	pc_machine.text[pc_machine.text_len++ % PC_TEXT_MAX] = (char)byte;
}

/* The machine. */

void pc_machine_reset(void)
{
	struct vm *vm = &pc_machine.vm;

	while (block_count > 0)
		free(blocks[--block_count]);
	memset(timers, 0, sizeof(timers));
	memset(&pc_machine, 0, sizeof(pc_machine));
	pc_machine.frames = 1ul << 20;
	pc_machine.vcpu.v.vm = vm;
	vm->vcpu = &pc_machine.vcpu;
	vm->config.cpus = 1;
	vm->config.mem = 16ul << 20;
	vm->exit_code = -1;
	snprintf(vm->name, sizeof(vm->name), "test");
	vm_console_init(&vm->console, pc_machine.out, sizeof(pc_machine.out), pc_machine.in,
			sizeof(pc_machine.in));
}

int pc_machine_build(void)
{
	int err = pc_build(&pc_machine.vm);

	if (!err)
		pc_reset(pc_machine.vm.pc);
	return err;
}

uint64_t pc_in(uint16_t port, unsigned size)
{
	uint64_t v = io_bus_read(&pc_machine.vm.ports, port, size);

	check(fake_spin_held() == 0);
	return v;
}

void pc_out(uint16_t port, unsigned size, uint64_t value)
{
	io_bus_write(&pc_machine.vm.ports, port, size, value);
	check(fake_spin_held() == 0);
}

int pc_take(void)
{
	const struct irq_source *irq = &pc_machine.vm.pc->irq;
	int vector = irq->peek(irq->ctx);

	if (vector >= 0)
		check(irq->ack(irq->ctx) == vector);
	check(fake_spin_held() == 0);
	return vector;
}
