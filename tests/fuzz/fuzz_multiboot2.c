/*
 * libFuzzer on boot_parse: the input is the boot information, after one byte whose low three bits
 * move it off its alignment and whose bit 3 mends total_size.
 *
 * needs: boot/multiboot2.c lib/printf.c lib/text.c
 */
#include <stdlib.h>
#include <string.h>
#include <crvm/boot_info.h>
#include <crvm/status.h>

#define require(x)                        \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static struct boot_info info;

static void info_check(int status)
{
	bool ram = false;

	require(status == 0 || status == E_INVAL);
	require(info.mmap_count <= BOOT_MMAP_MAX && info.module_count <= BOOT_MODULE_MAX);
	for (unsigned i = 0; i < info.mmap_count; i++) {
		require(info.mmap[i].len > 0);
		require(info.mmap[i].base + info.mmap[i].len > info.mmap[i].base);
		ram |= info.mmap[i].type == BOOT_MEM_RAM;
	}
	require(ram == (status == 0));
	for (unsigned i = 0; i < info.module_count; i++) {
		require(info.module[i].start <= info.module[i].end);
		require(memchr(info.module[i].cmdline, 0, sizeof(info.module[i].cmdline)));
	}
	require(info.reserve_count <= array_count(info.reserve));
	for (unsigned i = 0; i < info.reserve_count; i++)
		require(info.reserve[i].start < info.reserve[i].end);
	require(memchr(info.cmdline, 0, sizeof(info.cmdline)));
	require(memchr(info.loader, 0, sizeof(info.loader)));
	require(info.rsdp_len == 0 || info.rsdp_len == 20 || info.rsdp_len == 36);
	require(!info.symbols.symtab == !info.symbols.strtab_len);
	require(info.note_count <= BOOT_NOTE_MAX);
	for (unsigned i = 0; i < info.note_count; i++)
		require(info.note[i][0] && memchr(info.note[i], 0, sizeof(info.note[i])));
	if (info.fb.type == BOOT_FB_RGB) {
		require(info.fb.bpp >= 15 && info.fb.bpp <= 32);
		require(info.fb.red.pos + info.fb.red.size <= info.fb.bpp);
		require((uint64_t)info.fb.pitch * 8 >= (uint64_t)info.fb.width * info.fb.bpp);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t total = (uint32_t)size - 1;
	size_t shift;
	uint8_t *block;

	if (size < 1)
		return 0;
	shift = data[0] & 7;
	block = malloc(shift + total + (shift + total == 0));
	if (!block)
		abort();
	memcpy(block + shift, data + 1, total);
	if (data[0] & 8 && total >= 4)
		memcpy(block + shift, &total, 4);
	memset(&info, 0xa5, sizeof(info));
	info_check(boot_parse(&info, block + shift, total));
	free(block);
	return 0;
}
