/*
 * ACPI static tables (arch/x86_64/acpi*.c): pure functions over untrusted bytes. May include lib
 * only; memory is reached through struct acpi_env, so that the same code runs in host tests and
 * fuzzers. Source: ACPI Specification 6.4, chapter 5 "ACPI Software Programming Model"; SPCR, DBG2
 * by Microsoft; HPET by Intel; MCFG by PCI Firmware Specification; DMAR by Intel VT-d Specification
 * chapter 8.
 */
#pragma once

#include <crvm/addr.h>
#include <crvm/compiler.h>

#define ACPI_CPU_MAX	   256
#define ACPI_IOAPIC_MAX	   16
#define ACPI_OVERRIDE_MAX  32
#define ACPI_TABLE_MAX	   64
#define ACPI_MCFG_MAX	   16
#define ACPI_DMAR_UNIT_MAX 16
#define ACPI_NOTE_MAX	   16

struct acpi_env {
	/* A pointer to `len` readable bytes at physical `addr`, valid until the parse ends; NULL if
	 * there is no such memory. */
	const void *(*map)(void *ctx, uint64_t addr, size_t len);
	void *ctx;
};

/* Generic Address Structure, reduced to what we use. */
struct acpi_gas {
	uint64_t addr;	/* 0: absent */
	uint8_t space;	/* 0 memory, 1 I/O port, 2 PCI configuration */
	uint8_t bits;	/* register width */
	uint8_t access; /* access size code, 0 to 4 */
};

struct acpi_uart { /* SPCR or DBG2: a 16550-compatible port */
	bool present;
	struct acpi_gas gas;
	uint32_t baud; /* 0: leave as it is */
	uint32_t gsi;  /* 0: unknown */
	uint8_t irq;   /* 8259 IRQ, 0: unknown */
};

struct acpi_info {
	unsigned revision; /* of the RSDP; 0 means ACPI 1.0 */
	unsigned table_count;
	struct {
		char sig[5];
		uint64_t addr;
		uint32_t len;
	} table[ACPI_TABLE_MAX]; /* those with a good checksum */

	/* MADT */
	bool madt;
	uint64_t lapic_base;
	bool pcat_compat; /* dual 8259s present: mask them */
	unsigned cpu_count;
	struct {
		uint32_t apic_id;
		uint32_t uid;
		bool enabled;	     /* usable now */
		bool online_capable; /* not enabled, but may be later */
	} cpu[ACPI_CPU_MAX];
	unsigned cpu_dropped; /* entries beyond ACPI_CPU_MAX */
	unsigned ioapic_count;
	struct {
		uint32_t id;
		uint64_t base;
		uint32_t gsi_base;
	} ioapic[ACPI_IOAPIC_MAX];
	unsigned override_count;
	struct {
		uint8_t irq; /* ISA */
		uint32_t gsi;
		bool active_low, level;
	} override[ACPI_OVERRIDE_MAX];
	unsigned lapic_nmi_count;
	struct {
		uint32_t uid; /* ~0: all */
		uint8_t lint;
		bool active_low, level;
	} lapic_nmi[ACPI_OVERRIDE_MAX];

	/* FADT */
	bool fadt;
	struct acpi_gas pm1a_cnt, pm1b_cnt, pm1a_evt, pm_timer;
	bool pm_timer_32bit;
	uint32_t smi_cmd; /* port; 0: none */
	uint8_t acpi_enable;
	struct acpi_gas reset;
	uint8_t reset_value;
	bool reset_supported;
	bool hw_reduced;
	bool no_8042; /* FADT revision >= 2 says that there is none (IAPC_BOOT_ARCH bit 1 clear) */
	uint8_t century; /* CMOS register of the century; 0: none is named */
	bool no_vga;	 /* IAPC_BOOT_ARCH bit 2 */
	uint64_t dsdt;
	/* \_S5 from the DSDT, found by pattern (Name (_S5, Package () {a, b, ...})) */
	bool s5;
	uint8_t s5_typa, s5_typb;

	struct acpi_uart spcr, dbg2;

	uint64_t hpet_base; /* 0: none */

	unsigned mcfg_count;
	struct {
		uint64_t base;
		uint16_t segment;
		uint8_t bus_first, bus_last;
	} mcfg[ACPI_MCFG_MAX];

	bool dmar;
	uint8_t dmar_haw; /* host address width, bits */
	bool dmar_intr_remap;
	unsigned dmar_unit_count;
	struct {
		uint64_t base;
		uint16_t segment;
		bool all; /* INCLUDE_PCI_ALL */
	} dmar_unit[ACPI_DMAR_UNIT_MAX];

	unsigned note_count; /* what was wrong and therefore skipped */
	char note[ACPI_NOTE_MAX][96];
};

/*
 * Reads all known tables, starting from the RSDP copy `rsdp` (20 or 36 bytes), or, if rsdp_len is 0
 * or its checksum is bad, from a scan of the EBDA and E0000h-FFFFFh. `info` is zeroed first.
 * Returns 0 if an RSDT or XSDT was found; E_NOENT if not. A broken table is noted and skipped,
 * never believed.
 */
int acpi_parse(struct acpi_info *info, const struct acpi_env *env, const uint8_t *rsdp,
	       size_t rsdp_len);
