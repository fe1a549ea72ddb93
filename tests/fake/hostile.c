/*
 * See hostile.h. What a CPU cannot do (an exit of a size that no instruction has, an event that
 * needs IF with IF off, a CPU state that VM entry refuses), the source cannot choose either.
 */
#include <string.h>
#include <crvm/cpu.h>
#include <crvm/fpu.h>
#include <crvm/panic.h>
#include "hostile.h"
#include "spinlock.h"

enum { TF = 1 << 8, IF = 1 << 9 };

uint64_t hostile_exit_count;

static const struct hostile_source *from;

static uint64_t take(unsigned bytes)
{
	return from->take(from->ctx, bytes);
}

static unsigned below(unsigned n)
{
	return (unsigned)take(2) % n;
}

/* Any value, but often one that leads somewhere. */
static uint64_t take_address(void)
{
	switch (below(8)) {
	case 0:
		return take(8);
	case 1:
		return RUN_MMIO + below(0x1010);
	case 2:
		return RUN_ROM + below(RUN_ROM_SIZE);
	case 3:
		return RUN_RAM_SIZE - below(16);
	case 4:
		return RUN_HIGH + RUN_HIGH_SIZE - below(16);
	case 5:
		return 0xffffffffffff0000 | take(2);
	default:
		return take(3) % RUN_RAM_SIZE;
	}
}

/* Registers, as the guest itself can have made them. */
static void take_registers(struct run_vm *m)
{
	static const uint16_t attr[] = {RUN_DATA32, RUN_DATA16, 0xc091, 0xc097, 0xf3, 0xc0f3};
	struct virt_vcpu *f = m->vcpu.v.virt;
	unsigned i = below(16);

	m->vcpu.v.gpr[i] = take_address();
	switch (below(8)) {
	case 0:
		f->reg[REG_RSP] = take_address();
		break;
	case 1:
		if (below(8) == 0)
			f->reg[REG_RIP] = take_address();
		break;
	case 2:
		i = below(6);
		if (i == SEG_CS)
			break;
		f->segment[i].attr = attr[below(array_count(attr))];
		f->segment[i].base = below(4) ? 0 : take_address();
		f->segment[i].limit = below(4) ? ~0u : (uint32_t)take(4);
		f->segment[i].unusable = below(8) == 0;
		break;
	case 3:
		f->reg[REG_RFLAGS] = 2 | (take(3) & 0x10dd5 & ~(uint64_t)TF) |
				     (below(16) ? 0 : (uint64_t)TF) | (below(2) ? IF : 0);
		break;
	case 4:
		f->reg[REG_INT_SHADOW] = below(4) == 3 ? 0 : below(3);
		if (!(f->reg[REG_RFLAGS] & IF))
			f->reg[REG_INT_SHADOW] &= 2;
		break;
	default:
		f->reg[REG_RIP] = RUN_CODE;
		f->reg[REG_RFLAGS] |= IF; /* a handler's IRET */
	}
}

/* Code, page tables or data. ROM is not the guest's to write. */
static void take_memory(struct run_vm *m)
{
	static const uint8_t code[][4] = {{0x89, 0x18},	      {0x8b, 0x18},	 {0xf3, 0xa5},
					  {0x66, 0xa5},	      {0xf3, 0xaa},	 {0xa4},
					  {0x0f, 0xb6, 0x00}, {0x87, 0x18},	 {0xff, 0x30},
					  {0xf0, 0x09, 0x18}, {0x8f, 0x00},	 {0xf3, 0xa6},
					  {0xc7, 0x00},	      {0x0f, 0xa3, 0x18}};
	uint64_t at = below(2) ? RUN_CODE : take(3) % (RUN_RAM_SIZE - 16);
	uint64_t value = take(8);

	memcpy(m->ram + at, &value, 8);
	if (at == RUN_CODE && below(32))
		memcpy(m->ram + at, code[below(array_count(code))], 4);
}

static struct event take_interrupted(const struct virt_vcpu *f)
{
	struct event e = {.kind = (uint8_t)below(EVENT_SOFT_EXCEPTION + 1)};
	const uint32_t with_error = 0x227d00;

	/* An interrupt needs IF: those come by fake_break_delivery. */
	if (e.kind == EVENT_NONE || e.kind == EVENT_EXTINT)
		return (struct event){.kind = EVENT_NONE};
	e.vector = e.kind == EVENT_NMI ? 2 : (uint8_t)take(1);
	if (e.kind >= EVENT_SOFT_INT)
		e.insn_len = (uint8_t)(1 + below(15));
	if (e.kind != EVENT_EXCEPTION)
		return e;
	e.vector %= 22;
	if (e.vector == EXC_NMI)
		e.vector = EXC_UD;
	e.has_error = f->reg[REG_CR0] & CR0_PE && with_error >> e.vector & 1;
	e.error = e.has_error ? (uint32_t)take(2) : 0;
	return e;
}

static void take_port(struct vcpu_exit *e)
{
	static const uint16_t ports[] = {RUN_PORT,	 RUN_PORT + 1, RUN_PORT + TESTDEV_STREAM,
					 RUN_PORT + 0xc, 0x80,	       0xe9,
					 RUN_PORT + 15,	 0xffff};

	e->port.port = below(4) ? ports[below(array_count(ports))] : (uint16_t)take(2);
	if (e->port.port - 0xf4u < 4 && below(8))
		e->port.port = 0x402;
	e->port.size = (uint8_t)(1u << below(3));
	e->port.in = below(2);
	e->port.string = below(3) == 0;
	e->port.rep = e->port.string && below(2);
	e->port.addr_size = (uint8_t)(2u << below(3));
	e->port.segment = (uint8_t)below(6);
	e->port.linear = take_address();
}

static void take_fault(struct vcpu_exit *e)
{
	e->insn_len = 0;
	e->fault.gpa = take_address() & 0xffffffffffff;
	e->fault.linear_valid = below(8) != 0;
	e->fault.linear = below(2) ? take_address() : e->fault.gpa;
	/* The page's offset is that of the translation. */
	e->fault.linear = align_down(e->fault.linear, PAGE_SIZE) | (e->fault.gpa & 0xfff);
	e->fault.access = (uint8_t)(1 + below(3));
	e->fault.allowed = below(4) ? 0 : NESTED_R | NESTED_X;
	if (below(256) == 0)
		e->fault.access = FAULT_EXEC;
	if (below(256) == 0)
		e->fault.page_walk = e->fault.linear_valid;
}

static void take_cr(struct vcpu_exit *e, struct vcpu *v)
{
	static const uint8_t crs[] = {0, 0, 3, 4, 4, 8};
	static const uint64_t values[] = {CR0_PE,  CR0_PE | CR0_PG, 0,
					  CR4_PAE, 0x38000,	    CR4_PAE | CR4_PGE,
					  9,	   0x80000039,	    EFER_LME | 1};

	e->cr.cr = crs[below(array_count(crs))];
	e->cr.gpr = (uint8_t)below(16);
	e->cr.access = below(4) ? 0 : (uint8_t)below(4);
	e->cr.lmsw_source = (uint16_t)take(2);
	if (e->cr.access == 1 && e->cr.cr != 3)
		e->cr.cr = 8;
	if (e->cr.gpr != REG_RSP && below(2))
		v->gpr[e->cr.gpr] = below(4) ? values[below(array_count(values))] : take(8);
}

static void take_msr(struct vcpu *v)
{
	static const uint32_t msrs[] = {0x10,  0x1b,	   0x3b,      0x1a0,	  0x277,
					0x174, MSR_EFER,   MSR_LSTAR, 0xc0000100, 0xc0000102,
					0x1d9, 0xc0000103, 0x480,     0x17};

	v->gpr[REG_RCX] = below(8) ? msrs[below(array_count(msrs))] : take(4);
	if (below(2))
		v->gpr[REG_RAX] = below(2) ? take(2) : take(8);
	if (v->gpr[REG_RCX] == 0x1a0) /* IA32_MISC_ENABLE: only bit 0 may change */
		v->gpr[REG_RAX] = 0x1800 + below(2);
	if (below(2))
		v->gpr[REG_RDX] = below(2) ? 0 : take(8);
}

/* Later ones of a row do not interrupt deliveries: the mode may have changed. */
static void take_exit(struct run_vm *m, bool first)
{
	static const uint8_t kinds[] = {
		EXIT_PORT,	   EXIT_PORT,	      EXIT_PORT,      EXIT_NESTED_FAULT,
		EXIT_NESTED_FAULT, EXIT_NESTED_FAULT, EXIT_CPUID,     EXIT_RDMSR,
		EXIT_WRMSR,	   EXIT_WRMSR,	      EXIT_HYPERCALL, EXIT_CR_ACCESS,
		EXIT_CR_ACCESS,	   EXIT_XSETBV,	      EXIT_CACHE,     EXIT_PAUSE,
		EXIT_UNDEFINED,	   EXIT_PRIVILEGED,   EXIT_HOST_NMI,  EXIT_HLT};
	static const uint8_t ends[] = {EXIT_SHUTDOWN, EXIT_TASK_SWITCH, EXIT_ENTRY_FAILED,
				       EXIT_UNKNOWN, EXIT_EXCEPTION};
	struct vcpu *v = &m->vcpu.v;
	struct vcpu_exit e = {.insn_len = (uint8_t)(1 + below(15)), .raw = (uint16_t)take(2)};

	e.kind = below(1024) ? kinds[below(array_count(kinds))] : ends[below(array_count(ends))];
	/* HLT with interrupts off ends a VM, so that is rare. */
	if (e.kind == EXIT_HLT && !(first && v->virt->reg[REG_RFLAGS] & IF) && below(256))
		e.kind = EXIT_PAUSE;
	if (first && (e.kind == EXIT_HOST_NMI || (e.kind == EXIT_NESTED_FAULT && !below(64))))
		e.interrupted = take_interrupted(v->virt);
	if (e.kind == EXIT_PORT)
		take_port(&e);
	else if (e.kind == EXIT_NESTED_FAULT)
		take_fault(&e);
	else if (e.kind == EXIT_CR_ACCESS)
		take_cr(&e, v);
	else if (e.kind == EXIT_RDMSR || e.kind == EXIT_WRMSR)
		take_msr(v);
	fake_push_exit(v, &e);
}

/* Events that wait were accepted in the state as it is: the guest has not run since. */
static bool may_change(const struct run_vm *m)
{
	return !m->vcpu.events.has_interrupted && m->vcpu.v.virt->injected.kind == EVENT_NONE;
}

static void take_requests(struct run_vm *m)
{
	struct vcpu_exit e = {.insn_len = 0};

	switch (below(8)) {
	case 0:
		run_raise_irq(m, (uint8_t)take(1));
		break;
	case 1:
		atomic_fetch_or(&m->vcpu.v.requests, REQ_NMI);
		break;
	case 2:
		atomic_fetch_or(&m->vcpu.v.requests, REQ_FLUSH);
		break;
	case 3:
		fake_kick(&m->vcpu.v);
		break;
	case 4:
		e.kind = below(256) ? EXIT_HOST_NMI : EXIT_NESTED_FAULT;
		e.fault.gpa = RUN_MMIO;
		if (!m->vcpu.v.virt->break_delivery)
			fake_break_delivery(&m->vcpu.v, &e);
		break;
	default:
		break;
	}
	/* The handler of an NMI ends. */
	if (below(4) == 0)
		m->vcpu.v.virt->reg[REG_INT_SHADOW] &= ~8ul;
}

struct run_vm *hostile_begin(const struct hostile_source *s, const struct vcpu_quick *quick)
{
	struct run_vm *m;
	unsigned mode;

	from = s;
	fake_cpu_catch();
	run_machine_reset(0);
	m = run_vm_new();
	machine.backend->vcpu_load(&m->vcpu.v);
	m->vcpu.v.quick = quick;
	mode = below(3);
	(mode == 0 ? run_mode_real : mode == 1 ? run_mode_32 : run_mode_64)(m);
	m->vcpu.v.virt->reg[REG_RFLAGS] |= IF;
	return m;
}

static void check_registers(const struct run_vm *m)
{
	const uint64_t *reg = m->vcpu.v.virt->reg, cr0 = reg[REG_CR0], efer = reg[REG_EFER];
	bool active = efer & EFER_LME && cr0 & CR0_PG;

	check(!(cr0 & ~0xe005003ful) && (!(cr0 & CR0_PG) || cr0 & CR0_PE));
	check(!(cr0 & CR0_NW) || cr0 & CR0_CD);
	check(!(reg[REG_CR4] & ~cpuid_policy_cr4_bits(&m->vm.cpuid)));
	check(!(efer & ~cpuid_policy_efer_bits(&m->vm.cpuid)));
	check(active == !!(efer & EFER_LMA) && (!active || reg[REG_CR4] & CR4_PAE));
	check(reg[REG_CR8] <= 15);
	check(fpu_xcr0_valid(m->vcpu.xcr0));
	check(!active || !(reg[REG_CR3] >> 39));
}

static void check_machine(const struct run_vm *m)
{
	const struct vm_vcpu *vv = &m->vcpu;

	check(fake_spin_held() == 0);
	check(!fake_irqs_on);
	check(vv->v.exit.kind < EXIT_KIND_COUNT);
	check(atomic_load(&vv->stopped) == (m->stops > 0) && m->stops <= 1);
	check(!m->stops || m->stop_reason[0]);
	check(m->rom[0] == 0x90 && !memcmp(m->rom, m->rom + 1, RUN_ROM_SIZE - 1));
}

/* Each run() ends in an exit that is counted, in one that ends the VM, or behind a quick one. */
static void check_counts(const struct run_vm *m)
{
	uint64_t sum = 0, runs = m->vcpu.v.virt->run_count;

	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		sum += m->vcpu.stats.kind[i].count;
	check(sum == runs || (m->stops && sum + 1 == runs));
	check(m->vcpu.stats.kind[EXIT_NONE].count == 0);
}

/* As the scheduler does it: an NMI ends each sleep, an interrupt may. */
static void wake(struct run_vm *m)
{
	if (below(2))
		run_raise_irq(m, (uint8_t)take(1));
	m->vcpu.blocked = vcpu_sleeps(&m->vcpu);
	if (!m->vcpu.blocked)
		return;
	atomic_fetch_or(&m->vcpu.v.requests, REQ_NMI);
	m->vcpu.v.virt->reg[REG_INT_SHADOW] &= ~8ul;
	m->vcpu.blocked = vcpu_sleeps(&m->vcpu);
	check(!m->vcpu.blocked);
}

bool hostile_step(const struct hostile_source *s, struct run_vm *m)
{
	struct vcpu *v = &m->vcpu.v;
	unsigned count = 0;

	from = s;
	fake_cpu_catch();
	if (m->vcpu.blocked)
		wake(m);
	if (may_change(m)) {
		take_registers(m);
		take_memory(m);
		count = 1 + below(4);
	}
	take_requests(m);
	for (unsigned i = 0; i < count; i++)
		take_exit(m, i == 0);
	v->deadline = fake_tsc + v->virt->script_count;
	vcpu_step(&m->vcpu);
	hostile_exit_count += count;
	check_registers(m);
	check_machine(m);
	check_counts(m);
	return !m->stops;
}

/* By whole words. */
static uint64_t mix(uint64_t digest, const void *bytes, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t word;

		memcpy(&word, (const uint8_t *)bytes + i, 8);
		digest = (digest ^ word) * 0x9e3779b97f4a7c15;
		digest ^= digest >> 29;
	}
	return digest;
}

uint64_t hostile_digest(struct run_vm *m)
{
	const struct virt_vcpu *f = m->vcpu.v.virt;
	uint64_t d = 0xcbf29ce484222325;

	d = mix(d, m->vcpu.v.gpr, sizeof(m->vcpu.v.gpr));
	d = mix(d, f->reg, sizeof(f->reg));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		d = mix(d, &f->segment[i].base, sizeof(f->segment[i].base));
	d = mix(d, &m->vcpu.msr.tsc_adjust, 8);
	d = mix(d, &m->vcpu.msr.apic_base, 8);
	d = mix(d, &m->vcpu.msr.misc_enable, 8);
	d = mix(d, &m->vcpu.msr.zero, 8);
	d = mix(d, &m->vcpu.xcr0, 8);
	d = mix(d, m->ram, RUN_RAM_SIZE);
	d = mix(d, m->high, RUN_HIGH_SIZE);
	d = mix(d, m->test.counter, sizeof(m->test.counter));
	d = mix(d, m->test.registers, sizeof(m->test.registers));
	d = mix(d, m->test.mmio, sizeof(m->test.mmio));
	d = mix(d, m->text, sizeof(m->text));
	d = mix(d, m->stop_reason, sizeof(m->stop_reason));
	d = mix(d, &(uint64_t){f->delivery_count}, 8);
	for (unsigned i = 0; i < EXIT_KIND_COUNT; i++)
		d = mix(d, &m->vcpu.stats.kind[i].count, 8);
	return d;
}
