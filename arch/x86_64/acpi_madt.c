/*
 * MADT: processors, I/O APICs, interrupt overrides and NMI inputs. Untrusted bytes in, struct
 * acpi_info out; it knows no APIC register. Source: ACPI Specification 6.4, section "Multiple APIC
 * Description Table (MADT)".
 */
#include <crvm/acpi.h>

#include "acpi_tables.h"

enum {
	MADT_PCAT_COMPAT = 1u << 0,
	CPU_ENABLED = 1u << 0,
	CPU_ONLINE_CAPABLE = 1u << 1, /* reserved before revision 5 (ACPI 6.3) */
	CPU_ONLINE_REVISION = 5,
	BUS_ISA = 0,
	ISA_IRQ_COUNT = 16,
	LINT_COUNT = 2,
};

#define LAPIC_BROADCAST	 0xffu
#define X2APIC_BROADCAST 0xffffffffu
#define UID_ALL		 0xffffffffu

static void madt_note(struct acpi_walk *walk, const struct acpi_table *table, const char *what,
		      uint32_t value)
{
	acpi_note(walk, "APIC", table->addr, "%s (%u)", what, value);
}

/* "MPS INTI Flags". "As the bus does" is edge, active high here: the bus is ISA, or the input NMI.
 */
static void inti_take(struct acpi_walk *walk, const struct acpi_table *table, uint16_t flags,
		      bool *active_low, bool *level)
{
	unsigned polarity = flags & 3, trigger = flags >> 2 & 3;

	if (polarity == 2 || trigger == 2)
		madt_note(walk, table, "reserved polarity or trigger mode", flags);
	*active_low = polarity == 3;
	*level = trigger == 3;
}

static void lapic_base_take(struct acpi_walk *walk, const struct acpi_table *table, uint64_t base)
{
	if (base == 0 || base % PAGE_SIZE != 0)
		acpi_note(walk, "APIC", table->addr, "local APIC address 0x%lx ignored", base);
	else
		walk->info->lapic_base = base;
}

static void cpu_take(struct acpi_walk *walk, const struct acpi_table *table, uint32_t apic_id,
		     uint32_t uid, uint32_t flags)
{
	struct acpi_info *info = walk->info;
	bool enabled = flags & CPU_ENABLED;
	bool online = !enabled && flags & CPU_ONLINE_CAPABLE &&
		      table->raw->revision >= CPU_ONLINE_REVISION;

	/* Neither: an empty slot, often with an id that repeats or means nothing. */
	if (!enabled && !online)
		return;
	for (unsigned i = 0; i < info->cpu_count; i++) {
		if (info->cpu[i].apic_id == apic_id) {
			madt_note(walk, table, "processor with a repeated APIC id", apic_id);
			return;
		}
	}
	if (info->cpu_count == ACPI_CPU_MAX) {
		info->cpu_dropped++;
		return;
	}
	info->cpu[info->cpu_count].apic_id = apic_id;
	info->cpu[info->cpu_count].uid = uid;
	info->cpu[info->cpu_count].enabled = enabled;
	info->cpu[info->cpu_count++].online_capable = online;
}

static void entry_take_lapic(struct acpi_walk *walk, const struct acpi_table *table,
			     const uint8_t *entry)
{
	const struct acpi_madt_lapic *raw = (const void *)entry;

	if (raw->apic_id != LAPIC_BROADCAST)
		cpu_take(walk, table, raw->apic_id, raw->uid, raw->flags);
	else if (raw->flags & CPU_ENABLED)
		madt_note(walk, table, "processor with the broadcast id", raw->apic_id);
}

static void entry_take_x2apic(struct acpi_walk *walk, const struct acpi_table *table,
			      const uint8_t *entry)
{
	const struct acpi_madt_x2apic *raw = (const void *)entry;

	if (raw->apic_id != X2APIC_BROADCAST)
		cpu_take(walk, table, raw->apic_id, raw->uid, raw->flags);
	else if (raw->flags & CPU_ENABLED)
		madt_note(walk, table, "processor with the broadcast id", raw->apic_id);
}

/* A repeated id alone does no harm: it can be written anew. Two at one place or one GSI are a
 * fault. */
static void entry_take_ioapic(struct acpi_walk *walk, const struct acpi_table *table,
			      const uint8_t *entry)
{
	const struct acpi_madt_ioapic *raw = (const void *)entry;
	struct acpi_info *info = walk->info;

	if (raw->base == 0 || raw->base % 16 != 0) {
		madt_note(walk, table, "I/O APIC at an impossible address", raw->base);
		return;
	}
	for (unsigned i = 0; i < info->ioapic_count; i++) {
		if (info->ioapic[i].base == raw->base ||
		    info->ioapic[i].gsi_base == raw->gsi_base) {
			madt_note(walk, table, "I/O APIC with a repeated address or GSI", raw->id);
			return;
		}
		if (info->ioapic[i].id == raw->id)
			madt_note(walk, table, "I/O APIC id repeated, but kept", raw->id);
	}
	if (info->ioapic_count == ACPI_IOAPIC_MAX) {
		madt_note(walk, table, "too many I/O APICs", raw->id);
		return;
	}
	info->ioapic[info->ioapic_count].id = raw->id;
	info->ioapic[info->ioapic_count].base = raw->base;
	info->ioapic[info->ioapic_count++].gsi_base = raw->gsi_base;
}

static void entry_take_override(struct acpi_walk *walk, const struct acpi_table *table,
				const uint8_t *entry)
{
	const struct acpi_madt_override *raw = (const void *)entry;
	struct acpi_info *info = walk->info;
	unsigned n = info->override_count;

	if (raw->bus != BUS_ISA || raw->irq >= ISA_IRQ_COUNT) {
		madt_note(walk, table, "override of something that is no ISA IRQ", raw->irq);
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		if (info->override[i].irq == raw->irq) {
			madt_note(walk, table, "second override of an IRQ", raw->irq);
			return;
		}
	}
	/* No test for a full table: ISA IRQs that differ are at most 16. */
	_Static_assert((int)ACPI_OVERRIDE_MAX >= (int)ISA_IRQ_COUNT, "room for every ISA IRQ");
	info->override[n].irq = raw->irq;
	info->override[n].gsi = raw->gsi;
	inti_take(walk, table, raw->flags, &info->override[n].active_low, &info->override[n].level);
	info->override_count++;
}

static void nmi_take(struct acpi_walk *walk, const struct acpi_table *table, uint32_t uid,
		     uint8_t lint, uint16_t flags)
{
	struct acpi_info *info = walk->info;
	unsigned n = info->lapic_nmi_count;

	if (lint >= LINT_COUNT) {
		madt_note(walk, table, "NMI at an unknown local input", lint);
		return;
	}
	if (n == ACPI_OVERRIDE_MAX) {
		madt_note(walk, table, "too many NMI entries", uid);
		return;
	}
	info->lapic_nmi[n].uid = uid;
	info->lapic_nmi[n].lint = lint;
	inti_take(walk, table, flags, &info->lapic_nmi[n].active_low, &info->lapic_nmi[n].level);
	info->lapic_nmi_count++;
}

static void entry_take_lapic_nmi(struct acpi_walk *walk, const struct acpi_table *table,
				 const uint8_t *entry)
{
	const struct acpi_madt_lapic_nmi *raw = (const void *)entry;

	nmi_take(walk, table, raw->uid == 0xff ? UID_ALL : raw->uid, raw->lint, raw->flags);
}

static void entry_take_x2apic_nmi(struct acpi_walk *walk, const struct acpi_table *table,
				  const uint8_t *entry)
{
	const struct acpi_madt_x2apic_nmi *raw = (const void *)entry;

	nmi_take(walk, table, raw->uid, raw->lint, raw->flags);
}

static void entry_take_lapic_addr(struct acpi_walk *walk, const struct acpi_table *table,
				  const uint8_t *entry)
{
	const struct acpi_madt_lapic_addr *raw = (const void *)entry;

	lapic_base_take(walk, table, raw->base);
}

static const struct madt_kind {
	uint8_t type, len_min;
	void (*take)(struct acpi_walk *walk, const struct acpi_table *table, const uint8_t *entry);
} madt_kinds[] = {
	{0, sizeof(struct acpi_madt_lapic), entry_take_lapic},
	{1, sizeof(struct acpi_madt_ioapic), entry_take_ioapic},
	{2, sizeof(struct acpi_madt_override), entry_take_override},
	{4, sizeof(struct acpi_madt_lapic_nmi), entry_take_lapic_nmi},
	{5, sizeof(struct acpi_madt_lapic_addr), entry_take_lapic_addr},
	{9, sizeof(struct acpi_madt_x2apic), entry_take_x2apic},
	{10, sizeof(struct acpi_madt_x2apic_nmi), entry_take_x2apic_nmi},
};

static void entry_take(struct acpi_walk *walk, const struct acpi_table *table, const uint8_t *entry)
{
	const struct acpi_entry8 *head = (const void *)entry;

	for (size_t i = 0; i < array_count(madt_kinds); i++) {
		if (madt_kinds[i].type != head->type)
			continue;
		if (head->len < madt_kinds[i].len_min)
			acpi_note(walk, "APIC", table->addr, "entry of type %u with length %u",
				  head->type, head->len);
		else
			madt_kinds[i].take(walk, table, entry);
		return;
	}
}

void acpi_madt_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	const struct acpi_madt *madt = (const void *)table->raw;
	const uint8_t *bytes = (const void *)table->raw;
	uint32_t at = sizeof(*madt), end = table->raw->len;

	walk->info->madt = true;
	walk->info->pcat_compat = madt->flags & MADT_PCAT_COMPAT;
	lapic_base_take(walk, table, madt->lapic_base);
	while (at < end) {
		const struct acpi_entry8 *head = (const void *)(bytes + at);

		if (end - at < sizeof(*head) || head->len < sizeof(*head) || head->len > end - at) {
			madt_note(walk, table, "broken entry, the rest is ignored, at offset", at);
			return;
		}
		entry_take(walk, table, bytes + at);
		at += head->len;
	}
}
