/*
 * libFuzzer on acpi_parse. The input: one mode byte, an RSDP of 36 bytes, then tables. It is the
 * memory at three windows: the RSDP in the EBDA or in the BIOS area, the tables at TABLES. Most
 * inputs get their checksums mended as they are mapped, so that mutations reach what lies behind.
 *
 * needs: arch/x86_64/acpi.c arch/x86_64/acpi_madt.c arch/x86_64/acpi_fadt.c
 * needs: arch/x86_64/acpi_misc.c arch/x86_64/acpi_tables.h lib/printf.c lib/text.c
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/acpi.h>
#include <crvm/status.h>

#define TABLES	     0x07fe0000u
#define EBDA	     0x9fc00u
#define EBDA_SEGMENT 0x9fc0u
#define BIOS	     0xe0000u
#define RSDP_LEN     36
/* Bounds the work for one input: a parse that maps more than this has lost its way. */
#define MAPPING_MAX 4096

enum {			       /* the mode byte */
       MODE_BAD_SUMS = 1 << 0, /* leave the checksums as they are */
       MODE_SCAN = 1 << 1,     /* no copy of the RSDP: scan */
       MODE_EBDA = 1 << 2,     /* the scan finds it in the EBDA */
       MODE_OLD = 1 << 3,      /* a copy of only 20 bytes */
};

#define require(x)                        \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct world {
	uint8_t mode;
	uint8_t rsdp[RSDP_LEN];
	const uint8_t *tables;
	size_t tables_len;
};

static struct acpi_info info;
static void *mappings[MAPPING_MAX];
static unsigned mapping_count;

static void sum_fix(uint8_t *bytes, size_t len, size_t at)
{
	uint8_t sum = 0;

	bytes[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + bytes[i]);
	bytes[at] = (uint8_t)-sum;
}

/* The bytes of a window, if all of [addr, addr + len) lies in it. */
static const uint8_t *window(uint64_t addr, size_t len, uint64_t base, const void *bytes,
			     size_t size)
{
	if (addr < base || addr - base > size || len > size - (addr - base))
		return NULL;
	return (const uint8_t *)bytes + (addr - base);
}

/* A heap block of exactly the bytes asked for, so that ASan sees each byte read beyond it. */
static const void *env_map(void *ctx, uint64_t addr, size_t len)
{
	static const uint16_t segment = EBDA_SEGMENT;
	struct world *world = ctx;
	uint8_t low[1024] = {0};
	const uint8_t *from;
	uint8_t *block;
	uint32_t table_len;

	require(len > 0 && mapping_count < MAPPING_MAX);
	memcpy(low + 16, world->rsdp, RSDP_LEN);
	from = window(addr, len, TABLES, world->tables, world->tables_len);
	if (!from && world->mode & MODE_EBDA)
		from = window(addr, len, EBDA, low, sizeof(low));
	if (!from && !(world->mode & MODE_EBDA))
		from = window(addr, len, BIOS, low, sizeof(low));
	if (!from)
		from = window(addr, len, 0x40e, &segment, sizeof(segment));
	if (!from)
		return NULL;
	block = malloc(len);
	if (!block)
		abort();
	mappings[mapping_count++] = memcpy(block, from, len);
	if (addr < TABLES || len < RSDP_LEN || world->mode & MODE_BAD_SUMS)
		return block;
	memcpy(&table_len, block + 4, 4);
	if (table_len == len)
		sum_fix(block, len, 9);
	return block;
}

static void info_check(int status)
{
	require(status == 0 || status == E_NOENT);
	require(info.table_count <= ACPI_TABLE_MAX && info.note_count <= ACPI_NOTE_MAX);
	require(status != 0 || info.table_count > 0);
	for (unsigned i = 0; i < info.table_count; i++)
		require(strnlen(info.table[i].sig, 5) == 4 && info.table[i].len >= 36);
	require(info.cpu_count <= ACPI_CPU_MAX && info.ioapic_count <= ACPI_IOAPIC_MAX);
	for (unsigned i = 0; i < info.cpu_count; i++) {
		require(info.cpu[i].enabled != info.cpu[i].online_capable);
		for (unsigned j = 0; j < i; j++)
			require(info.cpu[i].apic_id != info.cpu[j].apic_id);
	}
	require(info.override_count <= 16 && info.lapic_nmi_count <= ACPI_OVERRIDE_MAX);
	require(info.lapic_base % 4096 == 0);
	require(info.s5_typa <= 7 && info.s5_typb <= 7 && (!info.s5 || info.dsdt));
	require(info.spcr.present == (info.spcr.gas.addr != 0));
	require(info.dbg2.present == (info.dbg2.gas.addr != 0));
	require(info.reset_supported == (info.reset.addr != 0));
	require(info.mcfg_count <= ACPI_MCFG_MAX && info.dmar_unit_count <= ACPI_DMAR_UNIT_MAX);
	for (unsigned i = 0; i < info.mcfg_count; i++)
		require(info.mcfg[i].bus_first <= info.mcfg[i].bus_last && info.mcfg[i].base);
	for (unsigned i = 0; i < info.note_count; i++)
		require(info.note[i][0] && memchr(info.note[i], 0, sizeof(info.note[i])));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = {0};
	const struct acpi_env env = {.map = env_map, .ctx = &world};
	size_t rsdp_len;
	uint8_t *copy;

	if (size < 1 + RSDP_LEN)
		return 0;
	world.mode = data[0];
	memcpy(world.rsdp, data + 1, RSDP_LEN);
	world.tables = data + 1 + RSDP_LEN;
	world.tables_len = size - 1 - RSDP_LEN;
	if (!(world.mode & MODE_BAD_SUMS)) {
		sum_fix(world.rsdp, 20, 8);
		sum_fix(world.rsdp, RSDP_LEN, 32);
	}
	rsdp_len = world.mode & MODE_SCAN ? 0 : world.mode & MODE_OLD ? 20 : RSDP_LEN;
	copy = malloc(rsdp_len + (rsdp_len == 0));
	if (!copy)
		abort();
	memcpy(copy, world.rsdp, rsdp_len);
	memset(&info, 0xa5, sizeof(info));
	info_check(acpi_parse(&info, &env, copy, rsdp_len));
	free(copy);
	while (mapping_count > 0)
		free(mappings[--mapping_count]);
	return 0;
}
