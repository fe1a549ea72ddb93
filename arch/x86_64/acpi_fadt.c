/*
 * FADT: power management registers, reset, what legacy hardware is there; and the \_S5 package of
 * the DSDT, found by its byte pattern, since there is no AML interpreter. It touches no register.
 * Source: ACPI Specification 6.4, sections "Fixed ACPI Description Table (FADT)", "AML Grammar
 * Definition" (Package, PkgLength) and "\_Sx (System States)".
 */
#include <crvm/acpi.h>
#include <crvm/string.h>

#include "acpi_tables.h"

enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_QWORD = 0x0e,
	AML_PACKAGE = 0x12,
	AML_ROOT = '\\',
	SLP_TYP_MAX = 7, /* three bits of PM1_CNT */
};

/* Fields past revision 1 count only if the table has all their bytes. */
#define fadt_has(fadt, field)            \
	((fadt)->header.revision >= 2 && \
	 (fadt)->header.len >= offsetof(struct acpi_fadt, field) + sizeof((fadt)->field))
#define fadt_gas(fadt, field) (fadt_has(fadt, field) ? &(fadt)->field : NULL)

/*
 * A register block: the 64-bit field `x` if there is one that can be used, else the port `old`.
 * Widths are what the specification fixes; those in the tables are often wrong.
 */
static void block_take(struct acpi_walk *walk, const struct acpi_table *table, struct acpi_gas *gas,
		       const struct acpi_raw_gas *x, uint32_t old, uint8_t bits)
{
	const struct acpi_raw_gas port = {.space = ACPI_SPACE_IO, .addr = old};

	if (x && x->addr != 0 && !acpi_gas_take(gas, x))
		acpi_note(walk, "FACP", table->addr, "64-bit register address 0x%lx ignored",
			  x->addr);
	if (gas->addr == 0 && old != 0 && !acpi_gas_take(gas, &port))
		acpi_note(walk, "FACP", table->addr, "register address 0x%x is no port", old);
	if (gas->addr != 0)
		gas->bits = bits;
}

static void pm_take(struct acpi_walk *walk, const struct acpi_table *table,
		    const struct acpi_fadt *fadt)
{
	struct acpi_info *info = walk->info;
	uint32_t timer = fadt->pm_timer_len == 4 ? fadt->pm_timer : 0;

	block_take(walk, table, &info->pm1a_evt, fadt_gas(fadt, x_pm1a_evt), fadt->pm1a_evt, 32);
	block_take(walk, table, &info->pm1a_cnt, fadt_gas(fadt, x_pm1a_cnt), fadt->pm1a_cnt, 16);
	block_take(walk, table, &info->pm1b_cnt, fadt_gas(fadt, x_pm1b_cnt), fadt->pm1b_cnt, 16);
	block_take(walk, table, &info->pm_timer, fadt_gas(fadt, x_pm_timer), timer, 32);
	info->pm_timer_32bit = info->pm_timer.addr && fadt->flags & ACPI_FADT_TIMER_32BIT;
	if (fadt->smi_cmd > UINT16_MAX) {
		acpi_note(walk, "FACP", table->addr, "SMI command 0x%x is no port", fadt->smi_cmd);
		return;
	}
	info->smi_cmd = fadt->smi_cmd;
	info->acpi_enable = fadt->acpi_enable;
}

static void reset_take(struct acpi_walk *walk, const struct acpi_table *table,
		       const struct acpi_fadt *fadt)
{
	struct acpi_info *info = walk->info;

	if (!(fadt->flags & ACPI_FADT_RESET) || !fadt_has(fadt, reset_value))
		return;
	/* "Reset Register" may also lie in PCI configuration space. */
	if (fadt->reset.space == ACPI_SPACE_PCI && fadt->reset.addr != 0) {
		info->reset.addr = fadt->reset.addr;
		info->reset.space = ACPI_SPACE_PCI;
		info->reset.access = fadt->reset.access;
	} else if (!acpi_gas_take(&info->reset, &fadt->reset)) {
		acpi_note(walk, "FACP", table->addr, "reset register at 0x%lx, space %u: ignored",
			  fadt->reset.addr, fadt->reset.space);
		return;
	}
	info->reset.bits = 8;
	info->reset_value = fadt->reset_value;
	info->reset_supported = true;
}

/*
 * Reads the PkgLength at *at, moves *at behind it and returns where the package ends (beyond *at);
 * 0 if that is not within `len`.
 */
static size_t aml_package_end(const uint8_t *aml, size_t len, size_t *at)
{
	size_t start = *at, size, more;

	if (start >= len)
		return 0;
	more = aml[start] >> 6;
	if (more >= len - start)
		return 0;
	size = more ? aml[start] & 0x0f : aml[start] & 0x3f;
	for (size_t i = 0; i < more; i++)
		size |= (size_t)aml[start + 1 + i] << (4 + 8 * i);
	*at = start + 1 + more;
	if (size <= 1 + more || size > len - start)
		return 0;
	return start + size;
}

/* Reads a constant at *at and moves *at behind it. */
static bool aml_integer(const uint8_t *aml, size_t end, size_t *at, uint64_t *value)
{
	size_t width = 0;

	if (*at >= end)
		return false;
	*value = 0;
	switch (aml[(*at)++]) {
	case AML_ZERO:
		return true;
	case AML_ONE:
		*value = 1;
		return true;
	case AML_BYTE:
		width = 1;
		break;
	case AML_WORD:
		width = 2;
		break;
	case AML_DWORD:
		width = 4;
		break;
	case AML_QWORD:
		width = 8;
		break;
	default:
		return false;
	}
	if (width > end - *at)
		return false;
	memcpy(value, aml + *at, width);
	*at += width;
	return true;
}

/* Package () {typa, typb, ...} at `at`. */
static bool s5_package_take(struct acpi_info *info, const uint8_t *aml, size_t len, size_t at)
{
	uint64_t typa, typb;
	size_t end;

	if (at >= len || aml[at++] != AML_PACKAGE)
		return false;
	end = aml_package_end(aml, len, &at);
	if (end == 0 || aml[at++] < 2)
		return false;
	if (!aml_integer(aml, end, &at, &typa) || !aml_integer(aml, end, &at, &typb))
		return false;
	if (typa > SLP_TYP_MAX || typb > SLP_TYP_MAX)
		return false;
	info->s5 = true;
	info->s5_typa = (uint8_t)typa;
	info->s5_typb = (uint8_t)typb;
	return true;
}

/* Name (_S5, ...) or Name (\_S5, ...). */
static bool s5_search(struct acpi_info *info, const uint8_t *aml, size_t len)
{
	for (size_t i = 1; i + 4 <= len; i++) {
		if (aml[i] != '_' || memcmp(aml + i, "_S5_", 4) != 0)
			continue;
		if (aml[i - 1] != AML_NAME &&
		    (aml[i - 1] != AML_ROOT || i < 2 || aml[i - 2] != AML_NAME))
			continue;
		if (s5_package_take(info, aml, len, i + 4))
			return true;
	}
	return false;
}

static bool dsdt_take(struct acpi_walk *walk, uint64_t addr)
{
	struct acpi_table dsdt;
	const uint8_t *aml;

	if (addr == 0 || !acpi_table_take(walk, &dsdt, addr, "DSDT"))
		return false;
	walk->info->dsdt = addr;
	aml = (const uint8_t *)dsdt.raw + sizeof(*dsdt.raw);
	if (!s5_search(walk->info, aml, dsdt.raw->len - sizeof(*dsdt.raw)))
		acpi_note(walk, "DSDT", addr, "no \\_S5 found: power-off is not possible");
	return true;
}

void acpi_fadt_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const size_t len = table->raw->len;
	struct acpi_info *info = walk->info;
	struct acpi_fadt fadt = {0};

	/* Missing fields read as 0; fadt_has tells them from those that are cut in the middle. */
	memcpy(&fadt, table->raw, len < sizeof(fadt) ? len : sizeof(fadt));
	info->fadt = true;
	info->century = fadt.century;
	info->hw_reduced = fadt.header.revision >= 5 && fadt.flags & ACPI_FADT_HW_REDUCED;
	if (fadt.header.revision >= 2) {
		info->no_8042 = !(fadt.boot_arch & ACPI_BOOT_8042);
		info->no_vga = fadt.boot_arch & ACPI_BOOT_NO_VGA;
	}
	/* "Hardware-Reduced ACPI": these fields then mean nothing. */
	if (!info->hw_reduced)
		pm_take(walk, table, &fadt);
	reset_take(walk, table, &fadt);
	if (!fadt_has(&fadt, x_dsdt))
		fadt.x_dsdt = 0;
	if (!dsdt_take(walk, fadt.x_dsdt) && fadt.x_dsdt != fadt.dsdt)
		dsdt_take(walk, fadt.dsdt);
}
