/*
 * ACPI static tables: finds the RSDP, walks the XSDT or RSDT, verifies each table and hands it to
 * the file that knows its kind. Pure functions over untrusted bytes: no machine, no allocator, no
 * log. Source: ACPI Specification 6.4, sections "Root System Description Pointer (RSDP)" to
 * "Extended System Description Table (XSDT)".
 */
#include <crvm/acpi.h>
#include <crvm/printf.h>
#include <crvm/status.h>
#include <crvm/string.h>

#include "acpi_tables.h"

/*
 * Far above what firmware has (a DSDT may reach some hundred KiB): they bound the time that lengths
 * and counts from a broken table can cost.
 */
#define TABLE_LEN_MAX  (8u << 20)
#define ROOT_ENTRY_MAX 256
#define RSDP_TRIES_MAX 8

#define EBDA_SEGMENT_PTR 0x40e
#define EBDA_MIN	 0x400
#define EBDA_END	 0xa0000
#define BIOS_START	 0xe0000
#define BIOS_END	 0x100000
#define SCAN_CHUNK	 1024 /* also the part of the EBDA that may hold an RSDP */
#define SCAN_STEP	 16

static const struct table_kind {
	char sig[5];
	bool repeats;
	uint32_t len_min;
	void (*parse)(struct acpi_walk *walk, const struct acpi_table *table);
} table_kinds[] = {
	{"APIC", false, sizeof(struct acpi_madt), acpi_madt_parse},
	{"FACP", false, ACPI_FADT_V1_SIZE, acpi_fadt_parse},
	{"SPCR", false, sizeof(struct acpi_spcr), acpi_spcr_parse},
	{"DBG2", false, sizeof(struct acpi_dbg2), acpi_dbg2_parse},
	{"HPET", true, sizeof(struct acpi_hpet), acpi_hpet_parse},
	{"MCFG", false, sizeof(struct acpi_mcfg), acpi_mcfg_parse},
	{"DMAR", false, sizeof(struct acpi_dmar), acpi_dmar_parse},
};

/* A signature as text, safe to print. */
static void sig_copy(char dst[5], const char *sig)
{
	for (int i = 0; i < 4; i++)
		dst[i] = sig[i];
	for (int i = 0; i < 4; i++)
		if (dst[i] < ' ' || dst[i] > '~')
			dst[i] = '?';
	dst[4] = '\0';
}

void acpi_note(struct acpi_walk *walk, const char *sig, uint64_t addr, const char *fmt, ...)
{
	struct acpi_info *info = walk->info;
	const size_t size = sizeof(info->note[0]);
	char name[5];
	char *note;
	int len;
	va_list ap;

	if (info->note_count == ACPI_NOTE_MAX) {
		str_printf(info->note[ACPI_NOTE_MAX - 1], size,
			   "there is more wrong than is listed here");
		return;
	}
	note = info->note[info->note_count++];
	sig_copy(name, sig);
	len = str_printf(note, size, "%s at 0x%lx: ", name, addr);
	va_start(ap, fmt);
	str_vprintf(note + len, size - (size_t)len, fmt, ap);
	va_end(ap);
}

static uint8_t bytes_sum(const void *bytes, size_t len)
{
	const uint8_t *p = bytes;
	unsigned sum = 0;

	while (len--)
		sum += *p++;
	return (uint8_t)sum;
}

static bool table_is_listed(const struct acpi_info *info, uint64_t addr)
{
	for (unsigned i = 0; i < info->table_count; i++)
		if (info->table[i].addr == addr)
			return true;
	return false;
}

static void table_list(struct acpi_walk *walk, const struct acpi_table *table)
{
	struct acpi_info *info = walk->info;

	if (table_is_listed(info, table->addr))
		return;
	if (info->table_count == ACPI_TABLE_MAX) {
		acpi_note(walk, table->raw->sig, table->addr, "too many tables, not listed");
		return;
	}
	sig_copy(info->table[info->table_count].sig, table->raw->sig);
	info->table[info->table_count].addr = table->addr;
	info->table[info->table_count++].len = table->raw->len;
}

bool acpi_table_take(struct acpi_walk *walk, struct acpi_table *table, uint64_t addr,
		     const char *sig)
{
	const struct acpi_env *env = walk->env;
	const struct acpi_header *raw = env->map(env->ctx, addr, sizeof(*raw));
	uint32_t len;

	if (!raw) {
		acpi_note(walk, sig ? sig : "????", addr, "not in memory");
		return false;
	}
	if (sig && memcmp(raw->sig, sig, sizeof(raw->sig)) != 0) {
		acpi_note(walk, raw->sig, addr, "%s expected here", sig);
		return false;
	}
	len = raw->len;
	if (len < sizeof(*raw) || len > TABLE_LEN_MAX) {
		acpi_note(walk, raw->sig, addr, "length %u", len);
		return false;
	}
	table->raw = env->map(env->ctx, addr, len);
	if (!table->raw) {
		acpi_note(walk, raw->sig, addr, "%u bytes reach beyond memory", len);
		return false;
	}
	if (bytes_sum(table->raw, len) != 0) {
		acpi_note(walk, raw->sig, addr, "bad checksum");
		return false;
	}
	table->addr = addr;
	table_list(walk, table);
	return true;
}

bool acpi_gas_take(struct acpi_gas *gas, const struct acpi_raw_gas *raw)
{
	if (raw->addr == 0)
		return false;
	if (raw->space != ACPI_SPACE_MEMORY && raw->space != ACPI_SPACE_IO)
		return false;
	if (raw->space == ACPI_SPACE_IO && raw->addr > UINT16_MAX)
		return false;
	gas->addr = raw->addr;
	gas->space = raw->space;
	gas->bits = raw->bits;
	gas->access = raw->access;
	return true;
}

static void table_parse(struct acpi_walk *walk, const struct acpi_table *table)
{
	for (unsigned i = 0; i < array_count(table_kinds); i++) {
		const struct table_kind *kind = &table_kinds[i];

		if (memcmp(table->raw->sig, kind->sig, sizeof(table->raw->sig)) != 0)
			continue;
		if (table->raw->len < kind->len_min) {
			acpi_note(walk, kind->sig, table->addr, "too short: %u bytes",
				  table->raw->len);
		} else if (!kind->repeats && walk->seen & 1u << i) {
			acpi_note(walk, kind->sig, table->addr, "a second one: ignored");
		} else {
			walk->seen |= 1u << i;
			kind->parse(walk, table);
		}
		return;
	}
}

/* Walks an RSDT or XSDT, whose entries have `width` bytes. The number of good tables; -1: broken.
 */
static int root_walk(struct acpi_walk *walk, uint64_t addr, const char *sig, size_t width)
{
	struct acpi_table root, table;
	const uint8_t *entries;
	size_t count;
	int good = 0;

	if (!acpi_table_take(walk, &root, addr, sig))
		return -1;
	entries = (const uint8_t *)root.raw + sizeof(*root.raw);
	count = (root.raw->len - sizeof(*root.raw)) / width;
	if (count > ROOT_ENTRY_MAX) {
		acpi_note(walk, sig, addr, "%zu entries, only %u are read", count, ROOT_ENTRY_MAX);
		count = ROOT_ENTRY_MAX;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t entry = 0;

		memcpy(&entry, entries + i * width, width);
		if (entry == 0) /* firmware leaves such gaps where it has dropped a table */
			continue;
		if (table_is_listed(walk->info, entry)) {
			acpi_note(walk, sig, addr, "entry %zu repeats 0x%lx: ignored", i, entry);
			continue;
		}
		if (!acpi_table_take(walk, &table, entry, NULL))
			continue;
		good++;
		table_parse(walk, &table);
	}
	return good;
}

/* A copy of the RSDP was made from `addr` (0: unknown). True if it leads to an RSDT or XSDT. */
static bool rsdp_follow(struct acpi_walk *walk, const void *copy, size_t len, uint64_t addr)
{
	struct acpi_rsdp rsdp = {0};
	uint64_t xsdt = 0;
	bool found = false;

	if (len < ACPI_RSDP_OLD_SIZE || memcmp(copy, "RSD PTR ", sizeof(rsdp.sig)) != 0 ||
	    bytes_sum(copy, ACPI_RSDP_OLD_SIZE) != 0) {
		acpi_note(walk, "RSDP", addr, "bad signature, length or checksum");
		return false;
	}
	memcpy(&rsdp, copy, len < sizeof(rsdp) ? len : sizeof(rsdp));
	if (rsdp.revision >= 2 && len >= sizeof(rsdp)) {
		if (rsdp.len == sizeof(rsdp) && bytes_sum(&rsdp, sizeof(rsdp)) == 0)
			xsdt = rsdp.xsdt;
		else
			acpi_note(walk, "RSDP", addr, "bad extended checksum or length %u",
				  rsdp.len);
	}
	walk->info->revision = rsdp.revision;
	if (xsdt != 0) {
		int good = root_walk(walk, xsdt, "XSDT", sizeof(uint64_t));

		if (good > 0)
			return true;
		found = good == 0;
	}
	/* Also after an XSDT that had nothing to offer. */
	if (rsdp.rsdt != 0 && root_walk(walk, rsdp.rsdt, "RSDT", sizeof(uint32_t)) >= 0)
		found = true;
	return found;
}

static bool rsdp_scan(struct acpi_walk *walk, uint64_t start, uint64_t end)
{
	const struct acpi_env *env = walk->env;

	for (uint64_t addr = start; addr < end; addr += SCAN_STEP) {
		uint64_t left = SCAN_CHUNK - (addr - start) % SCAN_CHUNK;
		const uint8_t *chunk = env->map(env->ctx, addr, left);
		size_t at = 0;

		while (chunk && at < left && memcmp(chunk + at, "RSD PTR ", 8) != 0)
			at += SCAN_STEP;
		if (!chunk || at >= left) { /* to the last step of this chunk */
			addr += left - SCAN_STEP;
			continue;
		}
		addr += at;
		if (walk->rsdp_tries++ >= RSDP_TRIES_MAX)
			return false;
		/* An old one may be the last thing in its memory. */
		chunk = env->map(env->ctx, addr, sizeof(struct acpi_rsdp));
		if (chunk && rsdp_follow(walk, chunk, sizeof(struct acpi_rsdp), addr))
			return true;
		if (chunk)
			continue;
		chunk = env->map(env->ctx, addr, ACPI_RSDP_OLD_SIZE);
		if (chunk && rsdp_follow(walk, chunk, ACPI_RSDP_OLD_SIZE, addr))
			return true;
	}
	return false;
}

/* ACPI Specification, "Finding the RSDP on IA-PC Systems". */
static bool rsdp_find(struct acpi_walk *walk)
{
	const struct acpi_env *env = walk->env;
	const void *raw = env->map(env->ctx, EBDA_SEGMENT_PTR, sizeof(uint16_t));
	uint16_t segment = 0;
	uint64_t ebda;

	if (raw)
		memcpy(&segment, raw, sizeof(segment));
	ebda = (uint64_t)segment << 4;
	if (ebda >= EBDA_MIN && ebda <= EBDA_END - SCAN_CHUNK &&
	    rsdp_scan(walk, ebda, ebda + SCAN_CHUNK))
		return true;
	return rsdp_scan(walk, BIOS_START, BIOS_END);
}

int acpi_parse(struct acpi_info *info, const struct acpi_env *env, const uint8_t *rsdp,
	       size_t rsdp_len)
{
	struct acpi_walk walk = {.info = info, .env = env};

	memset(info, 0, sizeof(*info));
	if (rsdp_len > 0 && rsdp_follow(&walk, rsdp, rsdp_len, 0))
		return 0;
	if (rsdp_find(&walk))
		return 0;
	info->revision = 0;
	return E_NOENT;
}
