/*
 * The smaller ACPI tables: SPCR and DBG2 (serial port), HPET, MCFG and DMAR. Untrusted bytes in,
 * struct acpi_info out; it knows no device. Source: Microsoft "Serial Port Console Redirection
 * Table" and "Debug Port Table 2"; Intel "IA-PC HPET Specification", section "The ACPI 2.0 HPET
 * Description Table"; PCI Firmware Specification, section "MCFG Table Description"; Intel VT-d
 * Specification, section "BIOS Considerations".
 */
#include <crvm/acpi.h>

#include "acpi_tables.h"

enum {
	SERIAL_16550 = 0x00,
	SERIAL_16450 = 0x01,
	SERIAL_16550_GAS = 0x12, /* the GAS says how wide and how far apart its registers are */
	SPCR_IRQ_8259 = 1u << 0,
	SPCR_IRQ_APIC = 1u << 1,
	DMAR_INTR_REMAP = 1u << 0,
	DMAR_DRHD = 0,
	DRHD_PCI_ALL = 1u << 0,
	DMAR_WIDTH_MAX = 64,
};

static bool serial_is_16550(unsigned type)
{
	return type == SERIAL_16550 || type == SERIAL_16450 || type == SERIAL_16550_GAS;
}

/* "Baud Rate": a code; 0 for "as is" and for codes that we do not know. */
static uint32_t spcr_baud(uint8_t code)
{
	switch (code) {
	case 3:
		return 9600;
	case 4:
		return 19200;
	case 6:
		return 57600;
	case 7:
		return 115200;
	default:
		return 0;
	}
}

void acpi_spcr_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_spcr *raw = (const void *)table->raw;
	const struct acpi_spcr4 *raw4 = (const void *)table->raw;
	struct acpi_uart *uart = &walk->info->spcr;

	if (raw->gas.addr == 0) /* "console redirection is disabled" */
		return;
	if (!serial_is_16550(raw->type)) {
		acpi_note(walk, "SPCR", table->addr, "type %u is no 16550", raw->type);
		return;
	}
	if (!acpi_gas_take(&uart->gas, &raw->gas)) {
		acpi_note(walk, "SPCR", table->addr, "address 0x%lx, space %u: ignored",
			  raw->gas.addr, raw->gas.space);
		return;
	}
	uart->present = true;
	uart->baud = spcr_baud(raw->baud);
	if (uart->baud == 0 && raw->baud != 0)
		acpi_note(walk, "SPCR", table->addr, "unknown baud code %u", raw->baud);
	if (raw->header.revision >= 4 && raw->header.len >= sizeof(*raw4) && raw4->precise_baud)
		uart->baud = raw4->precise_baud;
	if (raw->irq_type & SPCR_IRQ_8259)
		uart->irq = raw->irq;
	if (raw->irq_type & SPCR_IRQ_APIC)
		uart->gsi = raw->gsi;
}

/* Takes the port if it is a 16550 whose first address lies within its own `port->len` bytes. */
static bool dbg2_port_take(struct acpi_walk *walk, const struct acpi_table *table,
			   const struct acpi_dbg2_port *port)
{
	struct acpi_uart *uart = &walk->info->dbg2;
	const struct acpi_raw_gas *gas;

	if (port->type != ACPI_DBG2_SERIAL || !serial_is_16550(port->subtype))
		return false;
	if (port->address_count == 0 || port->address_offset < sizeof(*port) ||
	    port->address_offset + sizeof(*gas) > port->len) {
		acpi_note(walk, "DBG2", table->addr, "serial port without an address");
		return false;
	}
	gas = (const void *)((const uint8_t *)port + port->address_offset);
	if (!acpi_gas_take(&uart->gas, gas)) {
		acpi_note(walk, "DBG2", table->addr, "address 0x%lx, space %u: ignored", gas->addr,
			  gas->space);
		return false;
	}
	uart->present = true;
	return true;
}

void acpi_dbg2_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_dbg2 *raw = (const void *)table->raw;
	const uint8_t *bytes = (const void *)table->raw;
	uint32_t at = raw->offset, end = raw->header.len;

	if (raw->count != 0 && (at < sizeof(*raw) || at > end)) {
		acpi_note(walk, "DBG2", table->addr, "ports at offset %u", at);
		return;
	}
	for (uint32_t i = 0; i < raw->count; i++) {
		const struct acpi_dbg2_port *port = (const void *)(bytes + at);

		if (end - at < sizeof(*port) || port->len < sizeof(*port) || port->len > end - at) {
			acpi_note(walk, "DBG2", table->addr, "port %u is broken", i);
			return;
		}
		if (dbg2_port_take(walk, table, port))
			return;
		at += port->len;
	}
}

/* One table for each block of timers; the first that works will do. */
void acpi_hpet_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_hpet *raw = (const void *)table->raw;
	struct acpi_gas gas = {0};

	if (walk->info->hpet_base != 0)
		return;
	if (acpi_gas_take(&gas, &raw->base) && gas.space == ACPI_SPACE_MEMORY)
		walk->info->hpet_base = gas.addr;
	else
		acpi_note(walk, "HPET", table->addr, "address 0x%lx, space %u: ignored",
			  raw->base.addr, raw->base.space);
}

void acpi_mcfg_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_mcfg *raw = (const void *)table->raw;
	const struct acpi_mcfg_entry *entry = (const void *)(raw + 1);
	struct acpi_info *info = walk->info;
	size_t count = (raw->header.len - sizeof(*raw)) / sizeof(*entry);

	for (size_t i = 0; i < count; i++, entry++) {
		/* A bus has 1 MiB; the address is that of bus 0, even if the first is another. */
		if (entry->base == 0 || entry->base % (1u << 20) != 0 ||
		    entry->base > UINT64_MAX - (256u << 20) || entry->bus_last < entry->bus_first) {
			acpi_note(walk, "MCFG", table->addr, "buses %u-%u at 0x%lx: ignored",
				  entry->bus_first, entry->bus_last, entry->base);
			continue;
		}
		if (info->mcfg_count == ACPI_MCFG_MAX) {
			acpi_note(walk, "MCFG", table->addr, "more than %u entries", ACPI_MCFG_MAX);
			return;
		}
		info->mcfg[info->mcfg_count].base = entry->base;
		info->mcfg[info->mcfg_count].segment = entry->segment;
		info->mcfg[info->mcfg_count].bus_first = entry->bus_first;
		info->mcfg[info->mcfg_count++].bus_last = entry->bus_last;
	}
}

static void drhd_take(struct acpi_walk *walk, const struct acpi_table *table,
		      const struct acpi_dmar_drhd *raw)
{
	struct acpi_info *info = walk->info;

	if (raw->base == 0 || raw->base % PAGE_SIZE != 0) {
		acpi_note(walk, "DMAR", table->addr, "unit at 0x%lx: ignored", raw->base);
		return;
	}
	if (info->dmar_unit_count == ACPI_DMAR_UNIT_MAX) {
		acpi_note(walk, "DMAR", table->addr, "more than %u units", ACPI_DMAR_UNIT_MAX);
		return;
	}
	info->dmar_unit[info->dmar_unit_count].base = raw->base;
	info->dmar_unit[info->dmar_unit_count].segment = raw->segment;
	info->dmar_unit[info->dmar_unit_count++].all = raw->flags & DRHD_PCI_ALL;
}

void acpi_dmar_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_dmar *raw = (const void *)table->raw;
	const uint8_t *bytes = (const void *)table->raw;
	uint32_t at = sizeof(*raw), end = raw->header.len;
	unsigned width = raw->width + 1u; /* "Host Address Width": one less */

	walk->info->dmar = true;
	walk->info->dmar_intr_remap = raw->flags & DMAR_INTR_REMAP;
	if (width <= DMAR_WIDTH_MAX)
		walk->info->dmar_haw = (uint8_t)width;
	else
		acpi_note(walk, "DMAR", table->addr, "host address width %u", width);
	while (at < end) {
		const struct acpi_entry16 *head = (const void *)(bytes + at);

		if (end - at < sizeof(*head) || head->len < sizeof(*head) || head->len > end - at) {
			acpi_note(walk, "DMAR", table->addr, "broken structure at offset %u", at);
			return;
		}
		if (head->type == DMAR_DRHD && head->len >= sizeof(struct acpi_dmar_drhd))
			drhd_take(walk, table, (const void *)head);
		else if (head->type == DMAR_DRHD)
			acpi_note(walk, "DMAR", table->addr, "unit with length %u", head->len);
		at += head->len;
	}
}
