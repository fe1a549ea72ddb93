/*
 * IDT, GDT and TSS of each CPU, and what happens on an exception. Knows no VM.
 */
#include <crvm/apic.h>
#include <crvm/cpu.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/panic.h>
#include <crvm/percpu.h>
#include <crvm/printf.h>
#include <crvm/string.h>
#include <crvm/symbols.h>
#include <crvm/trap.h>

enum { SEL_CODE = 0x08, SEL_DATA = 0x10, SEL_TSS = 0x18 };
enum { IST_DF = 1, IST_NMI = 2, IST_MC = 3 };

struct idt_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_mid;
	uint32_t offset_high, reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "SDM Vol. 3A, 64-Bit Mode IDT");

struct tss64 {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t ist[8]; /* ist[0] is reserved */
	uint64_t reserved1;
	uint16_t reserved2, iomap;
} packed;
_Static_assert(sizeof(struct tss64) == 104, "SDM Vol. 3A, Task Management in 64-bit Mode");
_Static_assert(sizeof(((struct percpu *)0)->tss) == sizeof(struct tss64), "percpu.tss");

struct table_ptr {
	uint16_t limit;
	uint64_t base;
} packed;

static struct idt_gate idt[256] aligned_to(16);
static struct {
	void (*fn)(void *ctx);
	void *ctx;
} handlers[256];
static atomic_bool park_on_nmi;

extern const uint8_t trap_stubs[];
extern const struct {
	uint64_t from, to;
} extable_start[], extable_end[];

void trap_dispatch(struct trap_frame *f);

void trap_init(void)
{
	for (unsigned i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)trap_stubs + i * 16;

		idt[i] = (struct idt_gate){
			.offset_low = (uint16_t)at,
			.selector = SEL_CODE,
			.type = 0x8e, /* present, 64-bit interrupt gate */
			.offset_mid = (uint16_t)(at >> 16),
			.offset_high = (uint32_t)(at >> 32),
		};
	}
	idt[TRAP_DF].ist = IST_DF;
	idt[TRAP_NMI].ist = IST_NMI;
	idt[TRAP_MC].ist = IST_MC;
}

void trap_init_cpu(struct percpu *cpu, const struct cpu_stacks *stacks)
{
	uint64_t base = (uint64_t)cpu->tss;
	struct tss64 *tss = (struct tss64 *)(void *)cpu->tss;
	struct table_ptr gdtr = {sizeof(cpu->gdt) - 1, (uint64_t)cpu->gdt};
	struct table_ptr idtr = {sizeof(idt) - 1, (uint64_t)idt};

	memset(tss, 0, sizeof(*tss));
	tss->rsp[0] = stacks->main;
	tss->ist[IST_DF] = stacks->df;
	tss->ist[IST_NMI] = stacks->nmi;
	tss->ist[IST_MC] = stacks->mc;
	tss->iomap = sizeof(*tss);

	cpu->gdt[0] = 0;
	cpu->gdt[SEL_CODE / 8] = 0x00af9b000000ffff;
	cpu->gdt[SEL_DATA / 8] = 0x00cf93000000ffff;
	cpu->gdt[SEL_TSS / 8] = (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 |
				(base >> 24 & 0xff) << 56;
	cpu->gdt[SEL_TSS / 8 + 1] = base >> 32;

	__asm__ volatile("lgdt %0\n\t"
			 "push %1\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "mov %2, %%ds\n\t"
			 "mov %2, %%es\n\t"
			 "mov %2, %%ss\n\t"
			 "mov %3, %%fs\n\t"
			 "mov %3, %%gs\n\t"
			 "lldt %w3\n\t"
			 "ltr %w4\n\t"
			 "lidt %5"
			 :
			 : "m"(gdtr), "i"(SEL_CODE), "r"(SEL_DATA), "r"(0), "r"(SEL_TSS), "m"(idtr)
			 : "rax", "memory");
	cpu->self = cpu;
	wrmsr(MSR_GS_BASE, (uint64_t)cpu);
}

void trap_set_handler(uint8_t vector, void (*fn)(void *ctx), void *ctx)
{
	check(vector >= VECTOR_DEVICE && !handlers[vector].fn);
	handlers[vector].ctx = ctx;
	handlers[vector].fn = fn;
}

void trap_park_on_nmi(void)
{
	atomic_store(&park_on_nmi, true);
}

static const char *const exception_names[32] = {
	"#DE divide error",
	"#DB debug",
	"NMI",
	"#BP breakpoint",
	"#OF overflow",
	"#BR bound range",
	"#UD invalid opcode",
	"#NM no FPU",
	"#DF double fault",
	"vector 9",
	"#TS invalid TSS",
	"#NP segment not present",
	"#SS stack fault",
	"#GP general protection",
	"#PF page fault",
	"vector 15",
	"#MF FPU error",
	"#AC alignment check",
	"#MC machine check",
	"#XM SIMD error",
	"#VE virtualization",
	"#CP control protection",
	"vector 22",
	"vector 23",
	"vector 24",
	"vector 25",
	"vector 26",
	"vector 27",
	"#HV",
	"#VC",
	"#SX security",
	"vector 31",
};

static void dump_line(const char *text)
{
	log_err("%s", text);
}

/* SDM Vol. 3B, "Machine-Check Architecture": the banks that hold an error. */
static void dump_machine_check(void)
{
	uint64_t cap, status;

	if (rdmsr_safe(0x179, &cap) || rdmsr_safe(0x17a, &status))
		return;
	log_err("  IA32_MCG_STATUS %lx, %lu banks", status, cap & 0xff);
	for (uint32_t i = 0; i < (cap & 0xff); i++) {
		uint64_t addr = 0;

		if (rdmsr_safe(0x401 + 4 * i, &status) || !(status >> 63))
			continue;
		if (status >> 58 & 1 && rdmsr_safe(0x402 + 4 * i, &addr))
			addr = 0;
		log_err("  bank %u: status %016lx address %016lx", i, status, addr);
	}
}

void trap_dump(const struct trap_frame *f)
{
	char sym[96];

	log_err("  RIP %04lx:%016lx  %s", f->cs, f->rip, symbols_format(sym, sizeof(sym), f->rip));
	log_err("  RSP %04lx:%016lx  RFLAGS %08lx  error %lx", f->ss, f->rsp, f->rflags, f->error);
	log_err("  RAX %016lx  RBX %016lx  RCX %016lx", f->rax, f->rbx, f->rcx);
	log_err("  RDX %016lx  RSI %016lx  RDI %016lx", f->rdx, f->rsi, f->rdi);
	log_err("  RBP %016lx  R8  %016lx  R9  %016lx", f->rbp, f->r8, f->r9);
	log_err("  R10 %016lx  R11 %016lx  R12 %016lx", f->r10, f->r11, f->r12);
	log_err("  R13 %016lx  R14 %016lx  R15 %016lx", f->r13, f->r14, f->r15);
	log_err("  CR0 %08lx  CR2 %016lx  CR3 %08lx  CR4 %08lx", read_cr0(), read_cr2(), read_cr3(),
		read_cr4());
	if (f->vector == TRAP_MC)
		dump_machine_check();
	symbols_backtrace(f->rip, f->rbp, dump_line);
}

static void describe_fault(char *buf, size_t size, const struct trap_frame *f)
{
	uint64_t cr2 = read_cr2();

	buf[0] = '\0';
	if (f->vector == TRAP_DF && hostvm_is_guard(f->rsp))
		str_printf(buf, size, ": stack overflow, RSP %016lx lies in a guard page", f->rsp);
	else if (f->vector == TRAP_DF && hostvm_is_guard(cr2))
		str_printf(buf, size, ": stack overflow, %016lx lies in a guard page", cr2);
	else if (f->vector == TRAP_PF)
		str_printf(buf, size, ": %s of %016lx, %s%s",
			   f->error & 16  ? "execution"
			   : f->error & 2 ? "write"
					  : "read",
			   cr2, f->error & 1 ? "not permitted" : "not mapped",
			   hostvm_is_guard(cr2) ? " (a stack's guard page)" : "");
	else if (f->vector == TRAP_GP)
		str_printf(buf, size, ": error code %lx", f->error);
}

static void trap_exception(struct trap_frame *f)
{
	char what[96];

	for (size_t i = 0; i < (size_t)(extable_end - extable_start); i++) {
		if (extable_start[i].from == f->rip) {
			f->rip = extable_start[i].to;
			return;
		}
	}
	describe_fault(what, sizeof(what), f);
	panic_at(f, "exception %s in the hypervisor%s", exception_names[f->vector], what);
}

static void trap_nmi(const struct trap_frame *f)
{
	struct percpu *cpu = this_cpu();

	if (atomic_load(&park_on_nmi)) {
		atomic_store(&cpu->stopped_rip, f->rip);
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	/* Nothing that may hold a lock can be touched here: the CPU's loop reports it. */
	atomic_fetch_or(&cpu->work, WORK_NMI);
}

/* True if the 8259's in-service register shows the interrupt as real; then it gets its EOI. */
static void pic_spurious(uint8_t irq)
{
	uint16_t port = irq < 8 ? 0x20 : 0xa0;

	out8(port, 0x0b);
	if (in8(port) & 1u << (irq & 7)) {
		out8(port, 0x20);
		if (irq >= 8)
			out8(0x20, 0x20);
	}
}

void trap_dispatch(struct trap_frame *f)
{
	this_cpu()->interrupts[f->vector]++;
	if (f->vector == TRAP_NMI) {
		trap_nmi(f);
	} else if (f->vector < 32) {
		trap_exception(f);
	} else if (f->vector < VECTOR_DEVICE) {
		pic_spurious((uint8_t)(f->vector - VECTOR_PIC));
	} else if (f->vector != VECTOR_SPURIOUS) {
		if (handlers[f->vector].fn)
			handlers[f->vector].fn(handlers[f->vector].ctx);
		lapic_eoi();
	}
}
