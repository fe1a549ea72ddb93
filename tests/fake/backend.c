/*
 * struct virt_backend as a host program: machine, vCPUs, events, and the guest; see backend.h. It
 * must not know core's policy: it checks the rules of the CPU and of the contract, and plays the
 * guest that a test scripts. Source of the rules for entries: Intel SDM Vol. 3C, "Checks on VMX
 * Controls" (VM-entry control fields), "Checks on Guest Non-Register State", "Event Injection".
 */
#include <stdio.h>
#include <string.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/status.h>
#include "backend.h"

enum {
	FLAGS_TF = 1 << 8,
	FLAGS_IF = 1 << 9,
	FLAGS_NT = 1 << 14,
	FLAGS_RF = 1 << 16,
	FLAGS_VM = 1 << 17,
	BLOCKED_STI = 1,
	BLOCKED_MOV_SS = 2,
	BLOCKED_SHADOW = BLOCKED_STI | BLOCKED_MOV_SS,
	BLOCKED_NMI = 8,
	RUN_INSN_MAX = 1000000,
};

unsigned fake_cpu;
uint64_t fake_tsc;
unsigned fake_fail_after;
uint64_t fake_bad_cpus;

static struct virt_vm vms[FAKE_VM_MAX];
static struct virt_vcpu vcpus[FAKE_VCPU_MAX];
static unsigned vm_count, vcpu_count;
static uint64_t cpus_on;

void fake_backend_reset(void)
{
	fake_backend_lacks_deadline = false;
	memset(vms, 0, sizeof(vms));
	memset(vcpus, 0, sizeof(vcpus));
	vm_count = vcpu_count = fake_cpu = fake_fail_after = 0;
	fake_tsc = fake_bad_cpus = cpus_on = 0;
}

bool fake_out_of_memory(void)
{
	return fake_fail_after && --fake_fail_after == 0;
}

/* What every call on a vCPU begins with. */
static struct virt_vcpu *loaded(const struct vcpu *v, const char *call)
{
	struct virt_vcpu *f = v->virt;

	if (!f || !f->loaded)
		panic("%s: vCPU %u is not loaded", call, v->id);
	if (f->cpu != fake_cpu)
		panic("%s on CPU %u: vCPU %u is loaded on CPU %u", call, fake_cpu, v->id, f->cpu);
	return f;
}

/* The machine. */

static void fake_probe(unsigned without, struct verdict *v)
{
	(void)without;
	(void)v;
}

bool fake_backend_lacks_deadline;

static bool fake_offers(enum virt_feature feature)
{
	return feature != VIRT_DEADLINE || !fake_backend_lacks_deadline;
}

static const struct feature *fake_features(unsigned *count)
{
	static const struct feature row = {.name = "fake", .source = "tests/fake", .present = true};

	*count = 1;
	return &row;
}

static int fake_cpu_enable(unsigned cpu, struct verdict *v)
{
	check(cpu < 64 && !(cpus_on >> cpu & 1));
	if (fake_bad_cpus >> cpu & 1) {
		struct verdict_item *item = &v->item[v->count++];

		snprintf(item->fact, sizeof(item->fact), "A CPU that a test made bad");
		snprintf(item->saw, sizeof(item->saw), "CPU %u", cpu);
		snprintf(item->todo, sizeof(item->todo), "look at the test");
		return E_IO;
	}
	cpus_on |= 1ull << cpu;
	return OK;
}

static void fake_cpu_disable(unsigned cpu)
{
	check(cpu < 64 && cpus_on >> cpu & 1);
	cpus_on &= ~(1ull << cpu);
}

static int fake_vm_init(struct virt_vm **vm, struct arena *arena, uint16_t vm_id, bool use_vpid)
{
	(void)arena;
	if (fake_out_of_memory() || vm_count == FAKE_VM_MAX)
		return E_NOMEM;
	*vm = &vms[vm_count++];
	(*vm)->id = vm_id;
	(*vm)->use_vpid = use_vpid;
	return OK;
}

/* A vCPU and its registers. */

static void fake_vcpu_reset(struct vcpu *v)
{
	struct virt_vcpu *f = v->virt;

	memset(f->reg, 0, sizeof(f->reg));
	memset(v->gpr, 0, sizeof(v->gpr));
	v->gpr[REG_RDX] = 0x600;
	f->reg[REG_RIP] = 0xfff0;
	f->reg[REG_RFLAGS] = 2;
	f->reg[REG_CR0] = 0x60000010;
	f->reg[REG_DR6] = 0xffff0ff0;
	f->reg[REG_DR7] = 0x400;
	f->reg[REG_PAT] = 0x0007040600070406;
	f->reg[REG_XCR0] = 1;
	f->reg[REG_GDTR_LIMIT] = f->reg[REG_IDTR_LIMIT] = 0xffff;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		f->segment[i] = (struct vcpu_segment){.attr = 0x93, .limit = 0xffff};
	f->segment[SEG_CS].selector = 0xf000;
	f->segment[SEG_CS].base = 0xffff0000;
	f->segment[SEG_CS].attr = 0x9b;
	f->segment[SEG_LDTR].attr = 0x82;
	f->segment[SEG_TR].attr = 0x8b;
	f->injected.kind = EVENT_NONE;
	f->irq_window = f->nmi_window = f->pending_db = false;
	f->frame_count = 0;
}

static int fake_vcpu_init(struct vcpu *v, struct virt_vm *vm, struct arena *arena)
{
	(void)arena;
	if (fake_out_of_memory() || vcpu_count == FAKE_VCPU_MAX)
		return E_NOMEM;
	v->virt = &vcpus[vcpu_count++];
	v->virt->vm = vm;
	fake_vcpu_reset(v);
	return OK;
}

static void fake_vcpu_load(struct vcpu *v)
{
	check(v->virt);
	if (v->virt->loaded)
		panic("vcpu_load on CPU %u: vCPU %u is loaded on CPU %u", fake_cpu, v->id,
		      v->virt->cpu);
	for (unsigned i = 0; i < vcpu_count; i++)
		if (vcpus[i].loaded && vcpus[i].cpu == fake_cpu)
			panic("vcpu_load: CPU %u has another vCPU loaded", fake_cpu);
	if (v->virt->bound && v->virt->cpu != fake_cpu)
		panic("vcpu_load on CPU %u: vCPU %u is bound to CPU %u", fake_cpu, v->id,
		      v->virt->cpu);
	v->virt->loaded = v->virt->bound = true;
	v->virt->cpu = fake_cpu;
}

static void fake_vcpu_unload(struct vcpu *v)
{
	struct virt_vcpu *f = v->virt;

	if (f->bound && f->cpu != fake_cpu)
		panic("vcpu_unload on CPU %u: vCPU %u is bound to CPU %u", fake_cpu, v->id, f->cpu);
	f->loaded = f->bound = false;
}

static void fake_vcpu_switch(struct vcpu *from, struct vcpu *to)
{
	loaded(from, "vcpu_switch")->loaded = false;
	fake_vcpu_load(to);
}

static bool reg_is_gpr(enum vcpu_reg reg)
{
	return reg <= REG_R15 && reg != REG_RSP;
}

static uint64_t fake_get_reg(struct vcpu *v, enum vcpu_reg reg)
{
	struct virt_vcpu *f = loaded(v, "get_reg");

	check(reg < REG_COUNT);
	return reg_is_gpr(reg) ? v->gpr[reg] : f->reg[reg];
}

static void fake_set_reg(struct vcpu *v, enum vcpu_reg reg, uint64_t value)
{
	struct virt_vcpu *f = loaded(v, "set_reg");

	check(reg < REG_COUNT);
	*(reg_is_gpr(reg) ? &v->gpr[reg] : &f->reg[reg]) = value;
}

static void fake_get_segment(struct vcpu *v, enum vcpu_segreg seg, struct vcpu_segment *s)
{
	struct virt_vcpu *f = loaded(v, "get_segment");

	check(seg < SEG_COUNT);
	*s = f->segment[seg];
}

static void fake_set_segment(struct vcpu *v, enum vcpu_segreg seg, const struct vcpu_segment *s)
{
	struct virt_vcpu *f = loaded(v, "set_segment");

	check(seg < SEG_COUNT);
	f->segment[seg] = *s;
}

/* Events. */

static bool fake_can_take(struct vcpu *v, enum event_kind kind)
{
	const uint64_t *reg = loaded(v, "can_take")->reg;

	check(kind == EVENT_EXTINT || kind == EVENT_NMI);
	if (kind == EVENT_NMI)
		return !(reg[REG_INT_SHADOW] & (BLOCKED_SHADOW | BLOCKED_NMI));
	return reg[REG_RFLAGS] & FLAGS_IF && !(reg[REG_INT_SHADOW] & BLOCKED_SHADOW);
}

static bool vector_has_error(uint8_t vector)
{
	const uint32_t with = 1u << EXC_DF | 1u << EXC_TS | 1u << EXC_NP | 1u << EXC_SS |
			      1u << EXC_GP | 1u << EXC_PF | 1u << EXC_AC | 1u << EXC_CP;

	return vector < 32 && with >> vector & 1;
}

static void fake_inject(struct vcpu *v, const struct event *e)
{
	struct virt_vcpu *f = loaded(v, "inject");
	bool software = e->kind >= EVENT_SOFT_INT;

	if (f->injected.kind != EVENT_NONE)
		panic("inject: vector %u while vector %u waits", e->vector, f->injected.vector);
	check(e->kind > EVENT_NONE && e->kind <= EVENT_SOFT_EXCEPTION);
	if (e->kind == EVENT_NMI
		    ? e->vector != EXC_NMI
		    : e->kind == EVENT_EXCEPTION && (e->vector > 31 || e->vector == EXC_NMI))
		panic("inject: kind %u cannot have vector %u", e->kind, e->vector);
	if (software ? e->insn_len < 1 || e->insn_len > 15 : e->insn_len != 0)
		panic("inject: instruction length %u of kind %u", e->insn_len, e->kind);
	/* Real mode has no error codes; that they are left away there is the backend's. */
	f->injected = *e;
	if (!(f->reg[REG_CR0] & 1))
		f->injected.has_error = false;
	else if (e->has_error != (e->kind == EVENT_EXCEPTION && vector_has_error(e->vector)))
		panic("inject: error code of vector %u, kind %u", e->vector, e->kind);
	if (!f->injected.has_error)
		f->injected.error = 0;
}

static void fake_want_window(struct vcpu *v, enum event_kind kind, bool on)
{
	struct virt_vcpu *f = loaded(v, "want_window");

	check(kind == EVENT_EXTINT || kind == EVENT_NMI);
	*(kind == EVENT_NMI ? &f->nmi_window : &f->irq_window) = on;
	f->window_count++;
}

static void fake_skip_insn(struct vcpu *v)
{
	struct virt_vcpu *f = loaded(v, "skip_insn");
	uint64_t rip = f->reg[REG_RIP] + v->exit.insn_len;

	if (v->exit.insn_len == 0 || v->exit.insn_len > 15 || f->skipped)
		panic("skip_insn: no instruction to skip");
	f->skipped = true;
	/* Beyond 64-bit mode (CS.L) RIP has 32 bits. */
	f->reg[REG_RIP] = f->segment[SEG_CS].attr & 1 << 13 ? rip : (uint32_t)rip;
	f->reg[REG_INT_SHADOW] &= ~(uint64_t)BLOCKED_SHADOW;
	f->reg[REG_RFLAGS] &= ~(uint64_t)FLAGS_RF;
	if (f->reg[REG_RFLAGS] & FLAGS_TF)
		f->pending_db = true;
}

static void fake_flush_tlb(struct vcpu *v)
{
	struct virt_vcpu *f = loaded(v, "flush_tlb");

	memset(f->tlb, 0, sizeof(f->tlb));
	f->flush_count++;
}

static void fake_dump(struct vcpu *v)
{
	struct virt_vcpu *f = loaded(v, "dump");

	f->dump_count++;
	log_info("vCPU %u: rip %lx rflags %lx exit %u", v->id, f->reg[REG_RIP], f->reg[REG_RFLAGS],
		 v->exit.kind);
}

/* The guest. */

void fake_push_exit(struct vcpu *v, const struct vcpu_exit *e)
{
	struct virt_vcpu *f = v->virt;

	check(f->script_count < FAKE_SCRIPT_MAX && e->kind != EXIT_NONE);
	f->script[(f->script_head + f->script_count++) % FAKE_SCRIPT_MAX] = *e;
}

void fake_set_guest(struct vcpu *v, bool (*insn)(struct vcpu *v, void *ctx), void *ctx)
{
	v->virt->insn = insn;
	v->virt->insn_ctx = ctx;
}

void fake_break_delivery(struct vcpu *v, const struct vcpu_exit *e)
{
	check(!v->virt->break_delivery && e->kind != EXIT_NONE);
	v->virt->break_delivery = true;
	v->virt->break_exit = *e;
}

void fake_kick(struct vcpu *v)
{
	v->virt->host_irq = true;
}

const struct fake_delivery *fake_delivered(const struct vcpu *v, unsigned n)
{
	check(n < v->virt->delivery_count && v->virt->delivery_count - n <= FAKE_DELIVERIES_MAX);
	return &v->virt->delivery[n % FAKE_DELIVERIES_MAX];
}

/* Through an interrupt gate for interrupts, a trap gate for the rest. */
static void guest_deliver(struct virt_vcpu *f, const struct event *e)
{
	uint64_t *reg = f->reg;
	struct fake_delivery d = {.event = *e,
				  .rip = reg[REG_RIP] + e->insn_len,
				  .rflags = reg[REG_RFLAGS],
				  .tsc = fake_tsc};

	f->delivery[f->delivery_count++ % FAKE_DELIVERIES_MAX] = d;
	if (f->frame_count == FAKE_FRAMES_MAX) /* a guest that never returns loses the oldest */
		memmove(f->frame, f->frame + 1, --f->frame_count * sizeof(d));
	f->frame[f->frame_count++] = d;
	reg[REG_RFLAGS] &= ~(uint64_t)(FLAGS_TF | FLAGS_RF | FLAGS_NT | FLAGS_VM);
	if (e->kind == EVENT_EXTINT || e->kind == EVENT_NMI)
		reg[REG_RFLAGS] &= ~(uint64_t)FLAGS_IF;
	reg[REG_INT_SHADOW] &= ~(uint64_t)BLOCKED_SHADOW;
	reg[REG_RIP] = 0x10000 + e->vector * 256u;
}

/* What VM entry would refuse. */
static void entry_check(const struct vcpu *v, const struct virt_vcpu *f, const struct event *e)
{
	uint64_t blocked = f->reg[REG_INT_SHADOW];

	if (e->kind == EVENT_EXTINT &&
	    (blocked & BLOCKED_SHADOW || !(f->reg[REG_RFLAGS] & FLAGS_IF)))
		panic("entry: vCPU %u cannot take vector %u: blocked %lx rflags %lx", v->id,
		      e->vector, blocked, f->reg[REG_RFLAGS]);
	if (e->kind == EVENT_NMI && blocked & (BLOCKED_SHADOW | BLOCKED_NMI))
		panic("entry: vCPU %u cannot take an NMI: blocked %lx", v->id, blocked);
	if (f->reg[REG_HALTED])
		panic("entry: vCPU %u is given vector %u and still halted", v->id, e->vector);
}

/* False if the delivery was broken off by an exit. */
static bool entry_deliver(struct vcpu *v, struct virt_vcpu *f)
{
	struct event e = f->injected;

	if (e.kind == EVENT_NONE)
		return true;
	entry_check(v, f, &e);
	f->injected.kind = EVENT_NONE;
	if (e.kind == EVENT_NMI)
		f->reg[REG_INT_SHADOW] |= BLOCKED_NMI;
	if (f->break_delivery) {
		f->break_delivery = false;
		v->exit = f->break_exit;
		v->exit.interrupted = e;
		return false;
	}
	guest_deliver(f, &e);
	return true;
}

/* Between two instructions: what comes instead of the next one. */
static bool guest_boundary(struct vcpu *v, struct virt_vcpu *f)
{
	if (f->pending_db && !(f->reg[REG_INT_SHADOW] & BLOCKED_MOV_SS)) {
		f->pending_db = false;
		f->reg[REG_HALTED] = 0;
		guest_deliver(f, &(struct event){.kind = EVENT_EXCEPTION, .vector = EXC_DB});
	}
	if (f->nmi_window && fake_can_take(v, EVENT_NMI)) {
		v->exit.kind = EXIT_NMI_WINDOW;
	} else if (f->irq_window && fake_can_take(v, EVENT_EXTINT)) {
		v->exit.kind = EXIT_IRQ_WINDOW;
	} else if (f->host_irq) {
		f->host_irq = false;
		v->exit.kind = EXIT_HOST_IRQ;
	} else if (f->reg[REG_HALTED]) {
		if (v->deadline == ~0ull)
			panic("run: vCPU %u sleeps and nothing can wake it", v->id);
		fake_tsc = v->deadline > fake_tsc ? v->deadline : fake_tsc;
		v->exit.kind = EXIT_DEADLINE;
	} else if (v->deadline <= fake_tsc) {
		v->exit.kind = EXIT_DEADLINE;
	}
	return v->exit.kind != EXIT_NONE;
}

/* Whether it exits. */
static bool guest_insn(struct vcpu *v, struct virt_vcpu *f)
{
	uint64_t rip = f->reg[REG_RIP], flags = f->reg[REG_RFLAGS];

	fake_tsc++;
	if (f->script_count) {
		v->exit = f->script[f->script_head];
		f->script_head = (f->script_head + 1) % FAKE_SCRIPT_MAX;
		f->script_count--;
		return true;
	}
	if (!f->insn)
		panic("run: vCPU %u has nothing to execute", v->id);
	f->shadow_is_new = false;
	if (f->insn(v, f->insn_ctx)) {
		check(v->exit.kind != EXIT_NONE);
		return true;
	}
	check(v->exit.kind == EXIT_NONE);
	if (f->reg[REG_RIP] == rip)
		f->reg[REG_RIP]++;
	if (!f->shadow_is_new)
		f->reg[REG_INT_SHADOW] &= ~(uint64_t)BLOCKED_SHADOW;
	if (flags & FLAGS_RF)
		f->reg[REG_RFLAGS] &= ~(uint64_t)FLAGS_RF;
	if (flags & FLAGS_TF)
		f->pending_db = true;
	return false;
}

static struct vcpu *fake_run(struct vcpu *v)
{
	struct virt_vcpu *f = loaded(v, "run");
	unsigned count = 0;

	check(!f->in_guest);
	fake_tlb_check(v);
	v->exit = (struct vcpu_exit){.kind = EXIT_NONE};
	f->skipped = false;
	f->run_count++;
	f->in_guest = true;
	f->vm->in_guest++;
	if (entry_deliver(v, f))
		while (!guest_boundary(v, f) && !guest_insn(v, f))
			if (++count == RUN_INSN_MAX)
				panic("run: vCPU %u has run %u instructions without an exit", v->id,
				      count);
	f->vm->in_guest--;
	f->in_guest = false;
	return v;
}

static struct virt_vcpu *in_guest(struct vcpu *v)
{
	struct virt_vcpu *f = loaded(v, "guest code");

	check(f->in_guest);
	return f;
}

void fake_guest_sti(struct vcpu *v)
{
	struct virt_vcpu *f = in_guest(v);

	if (f->reg[REG_RFLAGS] & FLAGS_IF)
		return;
	f->reg[REG_RFLAGS] |= FLAGS_IF;
	f->reg[REG_INT_SHADOW] |= BLOCKED_STI;
	f->shadow_is_new = true;
}

void fake_guest_cli(struct vcpu *v)
{
	in_guest(v)->reg[REG_RFLAGS] &= ~(uint64_t)FLAGS_IF;
}

void fake_guest_mov_ss(struct vcpu *v)
{
	struct virt_vcpu *f = in_guest(v);

	f->reg[REG_INT_SHADOW] |= BLOCKED_MOV_SS;
	f->shadow_is_new = true;
}

void fake_guest_iret(struct vcpu *v)
{
	struct virt_vcpu *f = in_guest(v);

	f->reg[REG_INT_SHADOW] &= ~(uint64_t)BLOCKED_NMI;
	if (!f->frame_count)
		return;
	f->frame_count--;
	f->reg[REG_RIP] = f->frame[f->frame_count].rip;
	f->reg[REG_RFLAGS] = f->frame[f->frame_count].rflags;
}

const struct virt_backend fake_backend = {
	.name = "fake",
	.probe = fake_probe,
	.features = fake_features,
	.offers = fake_offers,
	.cpu_enable = fake_cpu_enable,
	.cpu_disable = fake_cpu_disable,
	.vm_init = fake_vm_init,
	.nested_map = fake_nested_map,
	.nested_protect = fake_nested_protect,
	.nested_query = fake_nested_query,
	.nested_walk = fake_nested_walk,
	.intercept_port = fake_intercept_port,
	.intercept_msr = fake_intercept_msr,
	.vcpu_init = fake_vcpu_init,
	.vcpu_reset = fake_vcpu_reset,
	.vcpu_load = fake_vcpu_load,
	.vcpu_unload = fake_vcpu_unload,
	.vcpu_switch = fake_vcpu_switch,
	.run = fake_run,
	.get_reg = fake_get_reg,
	.set_reg = fake_set_reg,
	.get_segment = fake_get_segment,
	.set_segment = fake_set_segment,
	.can_take = fake_can_take,
	.inject = fake_inject,
	.want_window = fake_want_window,
	.skip_insn = fake_skip_insn,
	.flush_tlb = fake_flush_tlb,
	.dump = fake_dump,
};
