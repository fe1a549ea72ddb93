/*
 * ACPI tables as they lie in memory, and what the four acpi*.c files share. Only they and their
 * tests may include it; it knows no machine. Source: ACPI Specification 6.4, chapter 5 "ACPI
 * Software Programming Model"; Microsoft's SPCR and DBG2; Intel's HPET; PCI Firmware Specification
 * (MCFG); VT-d Specification, "BIOS Considerations" (DMAR).
 */
#pragma once

#include <crvm/acpi.h>

/* Firmware aligns nothing reliably: everything here is packed and little-endian. */
#define acpi_size(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)

enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };

struct packed acpi_raw_gas { /* "Generic Address Structure" */
	uint8_t space, bits, offset, access;
	uint64_t addr;
};
acpi_size(acpi_raw_gas, 12);

struct packed acpi_rsdp {
	char sig[8];
	uint8_t checksum;
	char oem[6];
	uint8_t revision;
	uint32_t rsdt;
	/* from here on with revision 2 */
	uint32_t len;
	uint64_t xsdt;
	uint8_t checksum_all, reserved[3];
};
acpi_size(acpi_rsdp, 36);
#define ACPI_RSDP_OLD_SIZE 20

struct packed acpi_header {
	char sig[4];
	uint32_t len;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
};
acpi_size(acpi_header, 36);

struct packed acpi_fadt {
	struct acpi_header header;
	uint32_t facs, dsdt;
	uint8_t int_model, pm_profile;
	uint16_t sci_irq;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_timer, gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_timer_len, gpe0_len, gpe1_len, gpe1_base;
	uint8_t cst_cnt;
	uint16_t lvl2_latency, lvl3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_arch;
	uint8_t reserved;
	uint32_t flags;
	/* revision 1 ends here */
	struct acpi_raw_gas reset;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct acpi_raw_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_timer;
	struct acpi_raw_gas x_gpe0, x_gpe1;
	struct acpi_raw_gas sleep_control, sleep_status;
	uint64_t hypervisor;
};
acpi_size(acpi_fadt, 276);
#define ACPI_FADT_V1_SIZE 116
_Static_assert(offsetof(struct acpi_fadt, reset) == ACPI_FADT_V1_SIZE, "FADT revision 1");
_Static_assert(offsetof(struct acpi_fadt, boot_arch) == 109, "FADT boot flags");
_Static_assert(offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT 64-bit fields");

enum {
	ACPI_BOOT_8042 = 1u << 1,
	ACPI_BOOT_NO_VGA = 1u << 2,
	ACPI_FADT_TIMER_32BIT = 1u << 8,
	ACPI_FADT_RESET = 1u << 10,
	ACPI_FADT_HW_REDUCED = 1u << 20,
};

struct packed acpi_madt {
	struct acpi_header header;
	uint32_t lapic_base, flags;
};
acpi_size(acpi_madt, 44);

struct packed acpi_entry8 { /* opens each MADT entry */
	uint8_t type, len;
};
acpi_size(acpi_entry8, 2);

struct packed acpi_madt_lapic { /* type 0 */
	struct acpi_entry8 head;
	uint8_t uid, apic_id;
	uint32_t flags;
};
acpi_size(acpi_madt_lapic, 8);

struct packed acpi_madt_ioapic { /* type 1 */
	struct acpi_entry8 head;
	uint8_t id, reserved;
	uint32_t base, gsi_base;
};
acpi_size(acpi_madt_ioapic, 12);

struct packed acpi_madt_override { /* type 2 */
	struct acpi_entry8 head;
	uint8_t bus, irq;
	uint32_t gsi;
	uint16_t flags;
};
acpi_size(acpi_madt_override, 10);

struct packed acpi_madt_lapic_nmi { /* type 4 */
	struct acpi_entry8 head;
	uint8_t uid;
	uint16_t flags;
	uint8_t lint;
};
acpi_size(acpi_madt_lapic_nmi, 6);

struct packed acpi_madt_lapic_addr { /* type 5 */
	struct acpi_entry8 head;
	uint16_t reserved;
	uint64_t base;
};
acpi_size(acpi_madt_lapic_addr, 12);

struct packed acpi_madt_x2apic { /* type 9 */
	struct acpi_entry8 head;
	uint16_t reserved;
	uint32_t apic_id, flags, uid;
};
acpi_size(acpi_madt_x2apic, 16);

struct packed acpi_madt_x2apic_nmi { /* type 10 */
	struct acpi_entry8 head;
	uint16_t flags;
	uint32_t uid;
	uint8_t lint, reserved[3];
};
acpi_size(acpi_madt_x2apic_nmi, 12);

struct packed acpi_spcr { /* up to what revision 1 has */
	struct acpi_header header;
	uint8_t type, reserved[3];
	struct acpi_raw_gas gas;
	uint8_t irq_type, irq;
	uint32_t gsi;
	uint8_t baud, parity, stop_bits, flow_control, terminal, language;
	uint16_t pci_device, pci_vendor;
	uint8_t pci_bus, pci_dev, pci_func;
	uint32_t pci_flags;
	uint8_t pci_segment;
	uint32_t clock;
};
acpi_size(acpi_spcr, 80);

struct packed acpi_spcr4 { /* revision 4 */
	struct acpi_spcr v1;
	uint32_t precise_baud;
};
acpi_size(acpi_spcr4, 84);

struct packed acpi_dbg2 {
	struct acpi_header header;
	uint32_t offset, count;
};
acpi_size(acpi_dbg2, 44);

struct packed acpi_dbg2_port {
	uint8_t revision;
	uint16_t len;
	uint8_t address_count;
	uint16_t name_len, name_offset, oem_len, oem_offset, type, subtype, reserved;
	uint16_t address_offset, size_offset;
};
acpi_size(acpi_dbg2_port, 22);
#define ACPI_DBG2_SERIAL 0x8000

struct packed acpi_hpet {
	struct acpi_header header;
	uint32_t block_id;
	struct acpi_raw_gas base;
	uint8_t number;
	uint16_t min_tick;
	uint8_t protection;
};
acpi_size(acpi_hpet, 56);

struct packed acpi_mcfg {
	struct acpi_header header;
	uint8_t reserved[8];
};
acpi_size(acpi_mcfg, 44);

struct packed acpi_mcfg_entry {
	uint64_t base;
	uint16_t segment;
	uint8_t bus_first, bus_last;
	uint32_t reserved;
};
acpi_size(acpi_mcfg_entry, 16);

struct packed acpi_dmar {
	struct acpi_header header;
	uint8_t width, flags, reserved[10];
};
acpi_size(acpi_dmar, 48);

struct packed acpi_entry16 { /* opens each DMAR structure */
	uint16_t type, len;
};
acpi_size(acpi_entry16, 4);

struct packed acpi_dmar_drhd { /* type 0 */
	struct acpi_entry16 head;
	uint8_t flags, size;
	uint16_t segment;
	uint64_t base;
};
acpi_size(acpi_dmar_drhd, 16);

/* One parse. */
struct acpi_walk {
	struct acpi_info *info;
	const struct acpi_env *env;
	uint32_t seen;	     /* kinds of tables that have been parsed, a bit for each */
	unsigned rsdp_tries; /* RSDPs that the scan followed */
};

/* A table whose length and checksum have been verified: `raw->len` bytes can be read. */
struct acpi_table {
	const struct acpi_header *raw;
	uint64_t addr;
};

/* "SIG at 0xADDR: what is wrong". `sig` is 4 bytes, unprintable ones are replaced. */
void acpi_note(struct acpi_walk *walk, const char *sig, uint64_t addr, const char *fmt, ...)
	printf_like(4, 5);

/*
 * Maps and verifies the table at `addr`, and adds it to info->table. `sig` (or NULL: any) is what
 * it must be. False with a note if it is broken.
 */
bool acpi_table_take(struct acpi_walk *walk, struct acpi_table *table, uint64_t addr,
		     const char *sig);

/* Reduces a GAS; false if it is absent or not a usable memory or port address. */
bool acpi_gas_take(struct acpi_gas *gas, const struct acpi_raw_gas *raw);

/* One function for each kind of table; `table` is at least as long as its fixed part. */
void acpi_madt_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_fadt_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_spcr_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_dbg2_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_hpet_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_mcfg_parse(struct acpi_walk *walk, const struct acpi_table *table);
void acpi_dmar_parse(struct acpi_walk *walk, const struct acpi_table *table);
