/*
 * The local APIC in xAPIC (MMIO) and x2APIC (MSR) mode. Knows no vector's meaning but EOI.
 * Source: Intel SDM Vol. 3A, "Advanced Programmable Interrupt Controller (APIC)".
 */
#include <crvm/apic.h>
#include <crvm/cpufeat.h>
#include <crvm/hostvm.h>
#include <crvm/log.h>
#include <crvm/status.h>
#include <crvm/trap.h>

enum lapic_reg { /* MMIO offsets; the x2APIC MSR is 800h + offset / 16 */
		 LAPIC_ID = 0x20,
		 LAPIC_TPR = 0x80,
		 LAPIC_EOI = 0xb0,
		 LAPIC_LDR = 0xd0,
		 LAPIC_DFR = 0xe0,
		 LAPIC_SVR = 0xf0,
		 LAPIC_ESR = 0x280,
		 LAPIC_LVT_CMCI = 0x2f0,
		 LAPIC_ICR = 0x300,
		 LAPIC_ICR_HIGH = 0x310,
		 LAPIC_LVT_TIMER = 0x320,
		 LAPIC_LVT_THERMAL = 0x330,
		 LAPIC_LVT_PMI = 0x340,
		 LAPIC_LVT_LINT0 = 0x350,
		 LAPIC_LVT_LINT1 = 0x360,
		 LAPIC_LVT_ERROR = 0x370,
		 LAPIC_TIMER_INITIAL = 0x380,
		 LAPIC_TIMER_CURRENT = 0x390,
		 LAPIC_TIMER_DIVIDE = 0x3e0,
};

enum {
	LVT_MASKED = 1u << 16,
	LVT_NMI = 4u << 8,
	LVT_TIMER_DEADLINE = 2u << 17,
	SVR_ENABLE = 1u << 8,
	ICR_NMI = 4u << 8,
	ICR_INIT = 5u << 8,
	ICR_STARTUP = 6u << 8,
	ICR_PENDING = 1u << 12,
	ICR_ASSERT = 1u << 14,
	APIC_BASE_X2APIC = 1u << 10,
	APIC_BASE_ENABLE = 1u << 11,
};

static bool x2apic;
static volatile uint32_t *mmio;

static uint32_t lapic_read(enum lapic_reg reg)
{
	if (x2apic)
		return (uint32_t)rdmsr(MSR_X2APIC_BASE + (uint32_t)reg / 16);
	return mmio[reg / 4];
}

static void lapic_write(enum lapic_reg reg, uint32_t v)
{
	if (x2apic)
		wrmsr(MSR_X2APIC_BASE + (uint32_t)reg / 16, v);
	else
		mmio[reg / 4] = v;
}

/* Off to x2APIC leads through xAPIC mode (SDM, "x2APIC State Transitions"). */
static void lapic_enable(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

	wrmsr(MSR_APIC_BASE, base);
	if (x2apic)
		wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
}

int lapic_init(uint64_t mmio_base, bool allow_x2apic)
{
	uint64_t base = rdmsr(MSR_APIC_BASE);

	if (!(boot_cpu_features.leaf1.edx & 1u << 9))
		return E_NODEV;
	x2apic = cpufeat_has(&boot_cpu_features, CPUF_X2APIC) &&
		 (allow_x2apic || (base & APIC_BASE_X2APIC));
	if (x2apic) {
		lapic_enable();
		return OK;
	}
	/* The MSR tells the truth; the MADT only repeats it. */
	base &= (1ul << boot_cpu_features.phys_bits) - 1 - 0xfff;
	if (mmio_base && mmio_base != base)
		log_warn("the MADT puts the local APIC at %lx, IA32_APIC_BASE at %lx: the latter "
			 "is used",
			 mmio_base, base);
	mmio = hostvm_map(base, PAGE_SIZE, MAP_W | MAP_UC);
	if (!mmio)
		return E_NODEV;
	lapic_enable();
	return OK;
}

bool lapic_is_x2apic(void)
{
	return x2apic;
}

uint32_t lapic_id(void)
{
	return x2apic ? lapic_read(LAPIC_ID) : lapic_read(LAPIC_ID) >> 24;
}

void lapic_init_cpu(const struct acpi_info *acpi, uint32_t uid)
{
	static const enum lapic_reg lvt[] = {LAPIC_LVT_TIMER, LAPIC_LVT_THERMAL, LAPIC_LVT_PMI,
					     LAPIC_LVT_LINT0, LAPIC_LVT_LINT1,	 LAPIC_LVT_CMCI};
	static const uint8_t lvt_count_min[] = {0, 5, 4,
						0, 0, 6}; /* version register, max LVT entry */
	uint32_t max_lvt;

	lapic_enable();
	max_lvt = lapic_read((enum lapic_reg)0x30) >> 16 & 0xff;
	for (size_t i = 0; i < array_count(lvt); i++)
		if (max_lvt >= lvt_count_min[i])
			lapic_write(lvt[i], LVT_MASKED);
	lapic_write(LAPIC_LVT_ERROR, VECTOR_ERROR);
	for (unsigned i = 0; i < acpi->lapic_nmi_count; i++) {
		uint32_t who = acpi->lapic_nmi[i].uid;

		if (who == ~0u || who == uid)
			lapic_write(acpi->lapic_nmi[i].lint ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0,
				    LVT_NMI | (acpi->lapic_nmi[i].active_low ? 1u << 13 : 0));
	}
	if (!x2apic) {
		lapic_write(LAPIC_DFR, 0xffffffff);
		lapic_write(LAPIC_LDR, 0);
	}
	lapic_write(LAPIC_TPR, 0);
	lapic_write(LAPIC_ESR, 0);
	lapic_write(LAPIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

void lapic_eoi(void)
{
	lapic_write(LAPIC_EOI, 0);
}

static void lapic_send(uint32_t apic_id, uint32_t command)
{
	uint64_t flags;

	if (x2apic) {
		/* WRMSR to the x2APIC does not order earlier stores (SDM, "MSR Access in x2APIC
		 * Mode"). */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_X2APIC_BASE + LAPIC_ICR / 16, (uint64_t)apic_id << 32 | command);
		return;
	}
	flags = irq_save(); /* an interrupt between the halves could send its own */
	while (mmio[LAPIC_ICR / 4] & ICR_PENDING)
		cpu_relax();
	lapic_write(LAPIC_ICR_HIGH, apic_id << 24);
	lapic_write(LAPIC_ICR, command);
	irq_restore(flags);
}

void lapic_send_fixed(uint32_t apic_id, uint8_t vector)
{
	lapic_send(apic_id, ICR_ASSERT | vector);
}
void lapic_send_nmi(uint32_t apic_id)
{
	lapic_send(apic_id, ICR_ASSERT | ICR_NMI);
}
void lapic_send_init(uint32_t apic_id)
{
	lapic_send(apic_id, ICR_ASSERT | ICR_INIT);
}
void lapic_send_startup(uint32_t apic_id, uint8_t page)
{
	lapic_send(apic_id, ICR_ASSERT | ICR_STARTUP | page);
}

void lapic_timer_mode(bool deadline)
{
	lapic_write(LAPIC_TIMER_DIVIDE, 0xb); /* by 1 */
	lapic_write(LAPIC_LVT_TIMER, VECTOR_TIMER | (deadline ? LVT_TIMER_DEADLINE : 0));
	/* The mode must be in place before IA32_TSC_DEADLINE is written (SDM, "TSC-Deadline Mode").
	 */
	__asm__ volatile("mfence" : : : "memory");
}

void lapic_timer_count(uint32_t initial)
{
	lapic_write(LAPIC_TIMER_INITIAL, initial);
}

uint32_t lapic_timer_current(void)
{
	return lapic_read(LAPIC_TIMER_CURRENT);
}

void pic_disable(void)
{
	/* ICW1 to ICW4: edge, cascade, vectors at VECTOR_PIC, 8086 mode; then all masked. */
	static const uint8_t master[] = {VECTOR_PIC, 1 << 2, 1, 0xff};
	static const uint8_t slave[] = {VECTOR_PIC + 8, 2, 1, 0xff};

	out8(0x20, 0x11);
	out8(0xa0, 0x11);
	for (size_t i = 0; i < sizeof(master); i++) {
		out8(0x21, master[i]);
		out8(0xa1, slave[i]);
	}
}
