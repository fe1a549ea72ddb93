/*
 * A million random operations from a seed: MSRs, ports, CPUID leaves, control and debug registers,
 * descriptor tables, hypercalls, page-table entries, device memory, random instructions in ring 3.
 * Whatever comes of it, only this VM may suffer; here the operations are such that it lives.
 */
#include "cpu.h"

static uint64_t state = SEED;
static uint64_t table[512] __attribute__((aligned(4096)));
static uint64_t user_pdpt[512] __attribute__((aligned(4096)));
static uint64_t user_pd[512] __attribute__((aligned(4096)));
static uint64_t user_table[512] __attribute__((aligned(4096)));
static unsigned traps, user_runs;

#define WILD 0x40000000ul	  /* linear addresses with random entries */
#define USER 0xffff800000000000ul /* one page of code, one of stack: all that ring 3 has */
#define CODE 0x200000ul		  /* their frames */

static uint64_t random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1d;
}

/* Numbers that matter more often than chance would have it. */
static uint64_t value(void)
{
	uint64_t r = random();

	switch (r & 7) {
	case 0:
		return r >> 56;
	case 1:
		return 1ull << (r >> 8 & 63);
	case 2:
		return ~(1ull << (r >> 8 & 63));
	case 3:
		return 0x0000800000000000 - (r >> 8 & 15);
	case 4:
		return (uint32_t)(r >> 8);
	default:
		return random();
	}
}

static void count(unsigned vector)
{
	traps += vector != NO_TRAP;
}

static void msr(void)
{
	static const uint32_t interesting[] = {
		0x10,	    0x17,	0x1b,	    0x3b,	0x8b,	    0xfe,	0x174,
		0x175,	    0x176,	0x179,	    0x1a0,	0x1d9,	    0x277,	0x2ff,
		0x3a,	    0x480,	0x6e0,	    0x800,	0x830,	    0xc0000081, 0xc0000082,
		0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102, 0xc0000103, 0xda0,
	};
	uint64_t r = random();
	uint32_t n = r & 1   ? interesting[(r >> 8) % (sizeof(interesting) / 4)]
		     : r & 2 ? (uint32_t)(r >> 8) & 0x1fff
		     : r & 4 ? 0xc0000000 | (uint32_t)(r >> 8 & 0x1fff)
			     : (uint32_t)value();

	if (n == MSR_EFER) /* NXE and SCE may change, the rest is refused */
		count(try_wrmsr(n, 0x500 | (random() & 0x801)));
	else if (r & 8)
		count(try_rdmsr(n));
	else
		count(try_wrmsr(n, value()));
	wrmsr(0x174, 0); /* SYSENTER in ring 3 must not find its way in */
	wrmsr(MSR_EFER, 0x500);
}

static void port(void)
{
	uint64_t r = random(), v = value(), to = 0x100000 + (v & 0xffff), many = v >> 57;
	uint16_t p = r & 1 ? (uint16_t)(TESTDEV - 4 + (r >> 8 & 31)) : (uint16_t)(r >> 8);

	if ((p >= PORT_EXIT - 3 && p <= PORT_EXIT) ||
	    (p >= PORT_CONSOLE - 3 && p <= PORT_CONSOLE) || (p >= 0x3ff && p <= 0x402))
		return; /* would end it, or garble what it prints */
	switch (r >> 32 & 7) {
	case 0:
		in8(p);
		break;
	case 1:
		in16(p);
		break;
	case 2:
		in32(p);
		break;
	case 3:
		out8(p, (uint8_t)v);
		break;
	case 4:
		out16(p, (uint16_t)v);
		break;
	case 5:
		out32(p, (uint32_t)v);
		break;
	case 6:
		count(TRY("rep insb", OUT("+D"(to), "+c"(many)), IN("d"(p))));
		break;
	default:
		count(TRY("rep outsl", OUT("+S"(v), "+c"(many)), IN("d"(p))));
	}
}

static void control(void)
{
	uint64_t r = random(), v = value();
	unsigned long cr0 = read_cr0(), cr4 = read_cr4(), cr3 = read_cr3();

	switch (r & 7) {
	case 0: /* all but what ends this: PE and PG are kept */
		count(try_cr0(v | CR0_PE | CR0_PG));
		write_cr0(cr0);
		break;
	case 1:
		count(try_cr0((v & 0xffffffff) | CR0_PE | CR0_PG));
		write_cr0(cr0);
		break;
	case 2:
		count(try_cr4((v & ~0x300000ul) | CR4_PAE)); /* no SMEP, SMAP */
		write_cr4(cr4);
		break;
	case 3:
		count(try_cr4(cr4 ^ 1ul << (r >> 8 & 15)));
		write_cr4(cr4);
		break;
	case 4:
		count(try_cr3(cr3 | (v & 0xfff0000000000000)));
		write_cr3(cr3);
		break;
	case 5:
		count(try_cr8(v));
		break;
	case 6:
		count(TRY("xsetbv", OUT(),
			  IN("a"((uint32_t)v), "d"(r & 8 ? v >> 32 : 0), "c"(r >> 8 & 1))));
		break;
	default:
		count(TRY("lmsw %w0", OUT(), IN("r"(v))));
		write_cr0(cr0);
	}
}

static void debug(void)
{
	uint64_t v = value();

	switch (random() & 3) {
	case 0:
		count(try_dr6(v));
		break;
	case 1:
		count(try_dr0(v));
		count(try_dr3(value()));
		break;
	default:
		/* No breakpoint: handlers do not expect one. */
		count(try_dr7(v & ~0x20fful));
		write_dr7(0x400);
	}
}

static void tables(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} old, wild = {(uint16_t)value(), value()};

	wild.base =
		(uint64_t)((int64_t)(wild.base << 16) >> 16); /* else it faults without a table */
	if (random() & 1) {
		__asm__ volatile("sidt %0" : "=m"(old));
		__asm__ volatile("lidt %1\n\tcpuid\n\tlidt %0"
				 :
				 : "m"(old), "m"(wild)
				 : "rax", "rbx", "rcx", "rdx", "memory");
	} else {
		__asm__ volatile("sgdt %0" : "=m"(old));
		__asm__ volatile("lgdt %1\n\tin %%dx, %%al\n\tlgdt %0"
				 :
				 : "m"(old), "m"(wild), "d"(TESTDEV)
				 : "rax", "memory");
		count(TRY("mov %0, %%fs", OUT(), IN("r"((uint16_t)value()))));
	}
}

static void any_hypercall(void)
{
	uint64_t a = random() & 1 ? random() & 15 : value();

	__asm__ volatile("vmcall"
			 : "+a"(a)
			 : "D"(value()), "S"(value()), "d"(value()), "c"(value()));
}

/* A random entry of the lowest level: memory, devices, nothing, reserved bits. */
static void wild_page(void)
{
	uint64_t r = random(), n = r & 511, v = value();
	uint64_t at = WILD + 4096 * n + (r >> 16 & 0xff8);

	table[n] = (v & ~0xfful) | (r >> 32 & 0xff & ~0x80u);
	invlpg((void *)at);
	if (r >> 40 & 1)
		count(TRY("movl (%0), %%eax", OUT(), IN("r"(at)), "rax"));
	else if (((v & 0xffffffffff000) > 0x500000)) /* not into its own code */
		count(TRY("addq %0, (%1)", OUT(), IN("r"(v), "r"(at))));
}

static void device(void)
{
	uint64_t r = random(), at = TESTDEV_MEM - 8 + (r & 0xfff), v = value();
	uint64_t from = 0x100000, many = r >> 61;

	switch (r >> 16 & 7) {
	case 0:
		MEM64(at) = v;
		break;
	case 1:
		(void)MEM64(at);
		break;
	case 2:
		count(TRY("lock xaddl %k0, (%1)", OUT("+r"(v)), IN("r"(at))));
		break;
	case 3:
		count(TRY("btsq %0, (%1)", OUT(), IN("r"(v & 0x7fff), "r"(at))));
		break;
	case 4:
		count(TRY("rep stosb", OUT("+D"(at), "+c"(many)), IN()));
		break;
	case 5:
		count(TRY("rep movsb", OUT("+D"(at), "+S"(from), "+c"(many)), IN()));
		break;
	case 6:
		count(TRY("sbbw %w0, (%1)", OUT(), IN("r"(v), "r"(at))));
		break;
	default:
		from = at + 64;
		count(TRY("repe cmpsl", OUT("+D"(at), "+S"(from), "+c"(many)), IN()));
	}
}

static void leaf(void)
{
	uint64_t r = random();

	cpuid(r & 1   ? (uint32_t)(r >> 8 & 31)
	      : r & 2 ? 0x40000000 + (uint32_t)(r >> 8 & 31)
	      : r & 4 ? 0x80000000 + (uint32_t)(r >> 8 & 15)
		      : (uint32_t)value(),
	      (uint32_t)(random() & 7));
}

static unsigned steps;

/* Single steps of ring 3 go on for a while; everything else ends the excursion. */
static bool step(struct trap_frame *f)
{
	if (f->vector != DB || !(f->cs & 3))
		return false;
	f->rflags |= RFLAGS_TF;
	write_dr6(0xffff0ff0);
	return ++steps < 6;
}

static void instructions(void)
{
	for (unsigned i = 0; i < 48; i += 8)
		MEM64(CODE + i) = random();
	/*
	 * POPF and IRET could switch single step off, and it might run for ever. Some bytes after
	 * 62h (EVEX) end Bochs 2.7 itself.
	 */
	for (unsigned i = 0; i < 48; i++)
		if (MEM8(CODE + i) == 0x9d || MEM8(CODE + i) == 0xcf || MEM8(CODE + i) == 0x62)
			MEM8(CODE + i) = 0x90;
	steps = 0;
	user_runs++;
	trap_hook = step;
	user_enter(USER, USER + 0x1800, 2 | RFLAGS_TF);
	trap_hook = NULL;
	write_dr7(0x400);
}

static void setup(void)
{
	for (unsigned i = 0; i < 2048; i++)
		boot_pd[i] &= ~4ul; /* the supervisor's */
	boot_pd[512] = (uint64_t)table + 3;
	boot_pml4[256] = (uint64_t)user_pdpt + 7;
	user_pdpt[0] = (uint64_t)user_pd + 7;
	user_pd[0] = (uint64_t)user_table + 7;
	user_table[0] = CODE + 7;
	user_table[1] = CODE + 0x1000 + 7;
	write_cr3(read_cr3());
	for (unsigned i = 0; i < 0x200; i++) /* what runs off the random bytes */
		MEM64(CODE + 8 * i) = 0xcccccccccccccccc;
	write_cr4(read_cr4() | CR4_OSXSAVE | CR4_OSFXSR);
	/* Not all ports: one of them ends the VM. */
	for (unsigned i = 0; i < 16; i++)
		port_allow((uint16_t)(TESTDEV + i));
}

static void (*const operations[])(void) = {
	msr, port, control, debug, tables, any_hypercall, wild_page, device, leaf, instructions,
};
#define OPERATIONS (sizeof(operations) / sizeof(operations[0]))

void guest_main(void)
{
	print("seed %llx, %u operations\n", (unsigned long long)state, COUNT);
	setup();
	for (unsigned i = 0; i < COUNT; i++)
		operations[random() % OPERATIONS]();
	print("%u exceptions, %u runs in ring 3\n", traps, user_runs);
	CHECK(traps > COUNT / 20);
	CHECK_EQ(cpuid(0x40000000, 0).ebx, 0x4d565243);
}
